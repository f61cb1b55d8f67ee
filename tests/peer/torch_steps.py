"""The same training steps in plain PyTorch (1.13 or 2), for tests/peer/train.lua: usage
    python torch_steps.py MODEL.gguf ROWS.json THREADS f32|bf16 STEPS
MODEL is a plain Llama shape in F32 with a tied embedding. ROWS: a list of steps, each a list of rows of ids of one length. Prints a line of JSON
for each step: loss, gradient norm before clipping, seconds on the clock and of the processor."""
import json, math, struct, sys, time
import torch
import torch.nn.functional as F


def read_gguf(path):
    """Numbers of the header, and the tensors (F32 only)."""
    data = open(path, "rb").read()
    at = 8
    def take(fmt):
        nonlocal at
        v = struct.unpack_from("<" + fmt, data, at)
        at += struct.calcsize("<" + fmt)
        return v[0]
    def text():
        nonlocal at
        n = take("Q")
        at += n
        return data[at - n:at].decode()
    scalars = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
    def value(kind):
        if kind == 8: return text()
        if kind == 9:
            inner, n = take("I"), take("Q")
            return [value(inner) for _ in range(n)]
        return take(scalars[kind])
    tensors, keys = take("Q"), take("Q")
    meta = {text(): value(take("I")) for _ in range(keys)}
    infos = []
    for _ in range(tensors):
        name = text()
        shape = [take("Q") for _ in range(take("I"))]
        kind, offset = take("I"), take("Q")
        assert kind == 0, name + " is not F32"
        infos.append((name, shape[::-1], offset))
    align = meta.get("general.alignment", 32)
    start = (at + align - 1) // align * align
    weights = {}
    for name, shape, offset in infos:
        flat = torch.frombuffer(bytearray(data[start + offset:start + offset + 4 * math.prod(shape)]), dtype=torch.float32)
        weights[name] = flat.reshape(shape).clone()
    return meta, weights


class Model:
    def __init__(self, path):
        meta, weights = read_gguf(path)
        a = meta["general.architecture"]
        assert a == "llama", a
        self.blocks = meta[a + ".block_count"]
        self.heads, self.kv_heads = meta[a + ".attention.head_count"], meta[a + ".attention.head_count_kv"]
        self.eps, self.base = meta[a + ".attention.layer_norm_rms_epsilon"], meta[a + ".rope.freq_base"]
        self.w = {k: v.requires_grad_() for k, v in weights.items() if k != "rope_freqs.weight"}
        assert "output.weight" not in self.w

    def norm(self, x, name):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * self.w[name]

    def rope(self, x, cos, sin):  # [rows, heads, tokens, size], pairs (2 i, 2 i + 1)
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack((a * cos - b * sin, a * sin + b * cos), -1).flatten(-2)

    def loss(self, ids):
        x, target = ids[:, :-1], ids[:, 1:]
        rows, n = x.shape
        h = self.w["token_embd.weight"][x]
        size = self.w["blk.0.attn_q.weight"].shape[0] // self.heads
        angle = torch.outer(torch.arange(n).float(), self.base ** (-torch.arange(0, size, 2).float() / size))
        cos, sin = angle.cos(), angle.sin()
        mask = torch.full((n, n), -math.inf).triu(1)
        for i in range(self.blocks):
            def w(name): return self.w["blk.%d.%s.weight" % (i, name)]
            y = self.norm(h, "blk.%d.attn_norm.weight" % i)
            def split(name, heads): return F.linear(y, w(name)).view(rows, n, heads, size).transpose(1, 2)
            q, k, v = split("attn_q", self.heads), split("attn_k", self.kv_heads), split("attn_v", self.kv_heads)
            q, k = self.rope(q, cos, sin), self.rope(k, cos, sin)
            group = self.heads // self.kv_heads
            k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
            if hasattr(F, "scaled_dot_product_attention"):
                o = F.scaled_dot_product_attention(q, k, v.to(q.dtype), is_causal=True)
            else:
                o = torch.softmax(q @ k.transpose(-1, -2) / math.sqrt(size) + mask, -1) @ v
            h = h + F.linear(o.transpose(1, 2).reshape(rows, n, -1), w("attn_output"))
            y = self.norm(h, "blk.%d.ffn_norm.weight" % i)
            h = h + F.linear(F.silu(F.linear(y, w("ffn_gate"))) * F.linear(y, w("ffn_up")), w("ffn_down"))
        logits = F.linear(self.norm(h, "output_norm.weight"), self.w["token_embd.weight"])
        return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), target.reshape(-1))


def main():
    path, rows, threads, precision, steps = sys.argv[1:6]
    torch.set_num_threads(int(threads))
    torch.manual_seed(1)
    model = Model(path)
    batches = [torch.tensor(b) for b in json.load(open(rows))]
    matrices = [p for p in model.w.values() if p.dim() > 1]
    vectors = [p for p in model.w.values() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}],
                                  lr=1e-3, betas=(0.9, 0.95), eps=1e-8)
    for step in range(int(steps)):
        batch = batches[step % len(batches)]
        start, work = time.perf_counter(), time.process_time()
        optimizer.zero_grad(set_to_none=True)
        total = 0.0
        for part in batch.split(8):  # 2,048 tokens at a time; other sizes were not tried
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
                loss = model.loss(part) * (len(part) / len(batch))
            loss.backward()
            total += loss.item()
        norm = torch.nn.utils.clip_grad_norm_(list(model.w.values()), 1.0)
        optimizer.step()
        print(json.dumps({"loss": total, "norm": float(norm), "seconds": time.perf_counter() - start,
                          "work": time.process_time() - work}), flush=True)


main()
