#include "parser.h"
void mllm_tc_object_begin(mllm_toolcall_parser *p) {
    (void)p;
}
mllm_step mllm_tc_object(mllm_toolcall_parser *p) {
    (void)p;
    return STEP_WAIT;
}
void mllm_tc_object_resume(mllm_toolcall_parser *p) {
    (void)p;
}
int mllm_tc_object_open(const mllm_toolcall_parser *p) {
    (void)p;
    return 0;
}
bool mllm_tc_object_close(mllm_toolcall_parser *p) {
    (void)p;
    return false;
}
void mllm_tc_tags_begin(mllm_toolcall_parser *p) {
    (void)p;
}
mllm_step mllm_tc_tags(mllm_toolcall_parser *p) {
    (void)p;
    return STEP_WAIT;
}
mllm_step mllm_tc_header(mllm_toolcall_parser *p) {
    (void)p;
    return STEP_WAIT;
}
void mllm_tc_header_begin(mllm_toolcall_parser *p) {
    (void)p;
}
