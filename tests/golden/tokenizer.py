"""Golden tokenizers: small vocabularies with the pre-tokenizers of GPT-2, Llama 3, Qwen 2, SmolLM2 and one in the manner of Llama 2's
tokenizer.json, trained here, and rows {text, ids, decoded} by the `tokenizers` library.

    python3 -m venv /tmp/venv && /tmp/venv/bin/pip install tokenizers==0.23.3
    /tmp/venv/bin/python tests/golden/tokenizer.py

writes tests/golden/tokenizer-NAME.json and tests/golden/tokenizer-NAME.rows.json."""
import json
import os
import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"

TEXTS = """
set an alarm for 7:30 am tomorrow|What's the weather like in São Paulo?|turn the kitchen lights off, please
I'm sure they've said it'll work; we'd rather they're not, isn't it?|I'M SURE THEY'VE SAID IT'LL WORK; WE'D RATHER
{"name": "set_timer", "arguments": {"minutes": 12.5, "label": "pasta"}}|if (a[i] != 0) { return -1; } // ???
naïve café façade coöperate|Ünïcödé çhåråctèrs|ﬁ ligature ﬀ|Åström vs Ångström
数据科学与人工智能|こんにちは世界|안녕하세요 세계|Привет, мир!|مرحبا بالعالم|नमस्ते दुनिया|สวัสดีชาวโลก
1234567890 12 345 6,789.01 ½ ² Ⅷ ٣٤ १२३ x2y3z|3.14e-10 0xFF #ff00aa $9.99 50% 1st 2nd
🦙🚀😶‍🌫️ ✅ 👩‍👩‍👧‍👦 🇧🇷|− — – ‘quoted’ “text” … ¿qué? ¡no!
the quick brown fox jumps over the lazy dog and runs away from the kitchen into the garden
remind me to call the doctor at the hospital on the third of September, and order the usual pizza
""".strip().replace("|", "\n").split("\n")

ROWS = TEXTS + [
    "", " ", "  ", "   ", "\t", "\n", "\n\n", " \n", "\n ", "\n \n", "  \n  \n  x", "\r\n", "\r\r\n\n x", " \t x", "a  b", "a   b", "a \n b",
    "a\u00a0b", "a\u3000\u3000b", "\u2003x", "x\u200by", "\u0085x", "\u2028 \u2029", "x  ", "  x  ", " 1", "  1", "1 ", "1  2", "a1", "1a", "12345",
    " 12345 678", "'s", "'S", "'\u017f", "'\u017fx", "''s", "'ll'LL'lL", "'r", "'re're", "'", "' ", " '", "x'", "don't", "DON'T", " 'tis", "!'s", "a's's",
    "!!!", " !!!", "!!!\n\n", " !!!\r\n x", "!\n!", "?a", " ?a", "\ta", "\t\ta", "\na", ".a.b.c", "-a", "--a", " -- a", "#include <stdio.h>\n\n\tint x;",
    "a\u0301", "e\u0301a", "\u00e9", "A\u030a\u0323", "q\u0307\u0323 q\u0323\u0307", "\u1100\u1161\u11a8", "\uac00\u11a8", "\u0344", "\u2126 \u212b",
    "\u0958", "\ufb1d", "\U0001d15e", "\u0301", " \u0301", "\n\u0301x", "1\u0301", "a\u200d\u0301b", "\u0f71\u0f72\u0f74\u0f80",
    "<|im_start|>user\nhi<|im_end|>\n", " <|im_end|> ", "<|im_end|", "<<|im_end|>>", "x<|im_end|><|im_end|>y", "[TOOL]x", "a[TOOL] b", "[TOOL", "a [TOOLS] b",
    " strip <|r|>  x", "x  <|l|> y", "x <|w|> y", "x<|w|>y", "x <|w|>y", "<|w|>", "_<|w|>", "é<|w|>.", "\U0001f1e7\U0001f1f7", "\ufeffx", "\x00a\x00", "\x7f", "ab" * 300,
]
SPM_ROWS = [r for r in ROWS if "<|" not in r and "[TOOL" not in r] + [
    "\u2581", "\u2581\u2581 a", "a\u2581b", "<0x41>", "<unk>x", "<s>", "a</s>", "<s>a</s>b"]


def noise(rng, n):
    pools = [(32, 126), (0xC0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x900, 0x97F), (0xE00, 0xE7F), (0x1100, 0x11FF), (0x1E00, 0x1FFF),
             (0x2000, 0x206F), (0x2150, 0x218F), (0x3000, 0x30FF), (0xAC00, 0xD7A3), (0x1F600, 0x1F64F), (9, 13), (32, 32), (32, 34), (39, 39), (48, 57)]
    out = []
    while len(out) < n:
        low, high = rng.choice(pools)
        out += [chr(rng.randint(low, high)) for _ in range(rng.randint(1, 4))]
    return "".join(out[:n])


def rows(t, texts, spm=False):
    out = []
    for text in texts:
        ids = t.encode(text).ids
        row = {"text": text, "ids": ids}
        if not (spm and any(i < 3 for i in ids)):
            row["decoded"] = t.decode(ids, skip_special_tokens=False)
        out.append(row)
    return out


def write(name, t, texts, spm=False):
    path = os.path.join(HERE, "tokenizer-" + name)
    d = json.loads(t.to_str())
    if spm:  # the byte tokens were given as special ones only so that the trainer puts them in
        d["added_tokens"] = [a for a in d["added_tokens"] if not a["content"].startswith("<0x")]
    with open(path + ".json", "w", encoding="utf-8") as f:
        json.dump(d, f, ensure_ascii=False, separators=(",", ":"))
        f.write("\n")
    t = Tokenizer.from_file(path + ".json")
    with open(path + ".rows.json", "w", encoding="utf-8") as f:
        f.write("[\n" + ",\n".join(json.dumps(r) for r in rows(t, texts, spm)) + "\n]\n")


def byte_level(name, pre, normalizer=None, ignore_merges=False, bos=None):
    t = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    t.pre_tokenizer = pre
    t.decoder = decoders.ByteLevel()
    if normalizer:
        t.normalizer = normalizer
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    t.train_from_iterator(TEXTS * 3, trainers.BpeTrainer(vocab_size=620, special_tokens=special, min_frequency=2, show_progress=False,
                                                         initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    t.add_tokens([AddedToken("[TOOL]", normalized=False), AddedToken("<|r|>", rstrip=True, normalized=False),
                  AddedToken("<|l|>", lstrip=True, normalized=False), AddedToken("<|w|>", single_word=True, normalized=False)])
    if bos:
        t.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single=bos + " $A", pair=bos + " $A $B", special_tokens=[(bos, t.token_to_id(bos))])])
    rng = random.Random(name)
    write(name, t, ROWS + [noise(rng, rng.randint(1, 60)) for _ in range(60)])


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def llama2(name):
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    t.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(256)]
    known = [x for x in TEXTS if x.isascii() or "\u00e9" in x]  # the characters of the others become bytes
    t.train_from_iterator([w for x in known * 3 for w in x.replace(" ", " \n").split("\n")],
                          trainers.BpeTrainer(vocab_size=620, special_tokens=special, min_frequency=2, show_progress=False))
    rng = random.Random(name)
    write(name, t, SPM_ROWS + [noise(rng, rng.randint(1, 60)) for _ in range(60)], spm=True)


byte_level("gpt2", pre_tokenizers.ByteLevel(add_prefix_space=False))
byte_level("smollm", pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]))
byte_level("llama3", split(HEAD + r"\p{N}{1,3}|" + TAIL), ignore_merges=True, bos="<|endoftext|>")
byte_level("qwen2", split(HEAD + r"\p{N}|" + TAIL), normalizer=normalizers.NFC())
llama2("llama2")
