echo -15 > /proc/self/autogroup
cd /tmp/kern
for r in 1 2 3; do
./kb_old prod avx512 q8 94 1,2,4,8
echo single; P=99 A=8192 ./kb_e prod avx512 q8 94 2,4,8; 
for A in 0 4096 12288; do echo "pair seq $A"; S=1 P=2 A=$A ./kb_e prod avx512 q8 94 2,4,8;  S=1 P=2 A=$A N=1088 ./kb_e prod avx512 q8 94 2,4,8; done; done
