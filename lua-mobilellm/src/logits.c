/* logits.c - the logits userdata. Token ids are 0-based; one that is outside of the vocabulary raises. */
#include "logits.h"

#include <float.h>
#include <math.h>
#include <string.h>

static void close_logits(void *object) {
    ((mllm_lua_logits *)object)->data = NULL; /* the memory is the owner's, or Lua's */
}

const mllm_lua_class mllm_lua_logits_class = {"mobilellm.logits", "logits", sizeof(mllm_lua_logits), close_logits};

mllm_lua_logits *mllm_lua_check_logits(lua_State *L, int index) {
    mllm_lua_logits *view = mllm_lua_test(L, index, &mllm_lua_logits_class);
    if (!view) return mllm_lua_check(L, index, &mllm_lua_logits_class); /* raises */
    if (!view->object.open) luaL_error(L, "attempt to use stale logits");
    if (view->epoch) {
        mllm_lua_pushkept(L, index);
        lua_rawgeti(L, -1, 1);
        uint64_t now = view->epoch(L, lua_gettop(L));
        lua_pop(L, 2);
        if (now != view->born) luaL_error(L, "attempt to use stale logits: the session went on");
    }
    return view;
}

void mllm_lua_push_logits(lua_State *L, int owner, float *logits, size_t n,
                          uint64_t (*epoch)(lua_State *L, int owner)) {
    owner = lua_absindex(L, owner);
    uint64_t born = epoch(L, owner);
    mllm_lua_logits *view = mllm_lua_new(L, &mllm_lua_logits_class);
    mllm_lua_pushkept(L, -1);
    lua_pushvalue(L, owner);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    view->data = logits;
    view->count = view->size = n;
    view->epoch = epoch;
    view->born = born;
    view->object.open = true;
}

mllm_lua_logits *mllm_lua_new_logits(lua_State *L, size_t n) {
    mllm_lua_logits *view = mllm_lua_new(L, &mllm_lua_logits_class);
    mllm_lua_pushkept(L, -1);
    view->data = mllm_lua_buffer(L, n, sizeof *view->data);
    lua_rawseti(L, -2, 1);
    lua_pop(L, 1);
    view->count = view->size = n;
    view->object.open = true;
    return view;
}

/* ---------------------------------------------------------- single logits */

/* Index of a token in data[], SIZE_MAX for one that is masked by not being there. */
static size_t place(const mllm_lua_logits *view, mllm_token id) {
    if (!view->ids) return (size_t)id;
    size_t low = 0, high = view->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (view->ids[middle] < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < view->count && view->ids[low] == id ? low : SIZE_MAX;
}

static mllm_token check_id(lua_State *L, int index, const mllm_lua_logits *view) {
    return (mllm_token)mllm_lua_check_integer(L, index, 0, (int64_t)view->size - 1);
}

static float check_value(lua_State *L, int index) {
    double x = luaL_checknumber(L, index);
    luaL_argcheck(L, x < INFINITY, index, "a number under infinity expected"); /* NaN neither */
    return x > (double)FLT_MAX ? FLT_MAX : x < -(double)FLT_MAX && x > -INFINITY ? -FLT_MAX : (float)x;
}

/* logits:get(id) -> number; -math.huge is a masked token */
static int logits_get(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    size_t at = place(view, check_id(L, 2, view));
    lua_pushnumber(L, at == SIZE_MAX ? -INFINITY : (lua_Number)view->data[at]);
    return 1;
}

/* logits:set(id, x) -> logits. In a stage behind a truncation a token that was cut off cannot come back: nothing happens. */
static int logits_set(lua_State *L) {
    mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    size_t at = place(view, check_id(L, 2, view));
    float x = check_value(L, 3);
    if (at != SIZE_MAX) view->data[at] = x;
    lua_settop(L, 1);
    return 1;
}

static void add_at(mllm_lua_logits *view, mllm_token id, float x) {
    size_t at = place(view, id);
    if (at == SIZE_MAX || view->data[at] == -INFINITY) return;
    double sum = (double)view->data[at] + (double)x;
    view->data[at] = sum > (double)FLT_MAX ? FLT_MAX : sum < -(double)FLT_MAX && x > -INFINITY ? -FLT_MAX : (float)sum;
}

/* The list of tokens at `index`, each in range; pushes the buffer that owns it. */
static const mllm_token *check_ids(lua_State *L, int index, const mllm_lua_logits *view, size_t *count) {
    const mllm_token *ids = mllm_lua_check_tokens(L, index, count);
    for (size_t i = 0; i < *count; i++)
        if (ids[i] < 0 || (size_t)ids[i] >= view->size)
            luaL_argerror(
                L, index,
                lua_pushfstring(L, "token id %d is outside of the vocabulary of %d", (int)ids[i], (int)view->size));
    return ids;
}

/* logits:add(id or list of ids, x) -> logits. A masked token stays masked. */
static int logits_add(lua_State *L) {
    mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    float x = check_value(L, 3);
    if (lua_istable(L, 2)) {
        size_t count;
        const mllm_token *ids = check_ids(L, 2, view, &count);
        for (size_t i = 0; i < count; i++) add_at(view, ids[i], x);
    } else
        add_at(view, check_id(L, 2, view), x);
    lua_settop(L, 1);
    return 1;
}

/* logits:mask(allowed) -> logits. `allowed` is a list of ids, or a string whose bit id % 8 of byte id / 8 allows a token. */
static int logits_mask(lua_State *L) {
    mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    if (lua_type(L, 2) == LUA_TSTRING) {
        size_t bytes;
        const unsigned char *bits = (const unsigned char *)lua_tolstring(L, 2, &bytes);
        for (size_t i = 0; i < view->count; i++) {
            size_t id = view->ids ? (size_t)view->ids[i] : i;
            if (id / 8 >= bytes || !(bits[id / 8] >> id % 8 & 1)) view->data[i] = -INFINITY;
        }
    } else { /* the allowed ones are put aside and come back */
        size_t count;
        const mllm_token *ids = check_ids(L, 2, view, &count);
        float *kept = mllm_lua_buffer(L, count, sizeof *kept);
        for (size_t i = 0; i < count; i++) {
            size_t at = place(view, ids[i]);
            kept[i] = at == SIZE_MAX ? -INFINITY : view->data[at];
        }
        for (size_t i = 0; i < view->count; i++) view->data[i] = -INFINITY;
        for (size_t i = 0; i < count; i++) {
            size_t at = place(view, ids[i]);
            if (at != SIZE_MAX) view->data[at] = kept[i];
        }
    }
    lua_settop(L, 1);
    return 1;
}

/* ------------------------------------------------------------- questions */

/* logits:topk(k) -> list of {id =, logit =, logprob =}, best first; masked tokens are not among them. */
static int logits_topk(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    size_t k = (size_t)mllm_lua_check_integer(L, 2, 0, INT32_MAX);
    if (k > view->count) k = view->count;
    mllm_candidate *best = mllm_lua_buffer(L, k, sizeof *best);
    k = mllm_logits_topk(view->data, view->count, k, best);
    if (k == SIZE_MAX) return luaL_error(L, "not enough memory");
    lua_createtable(L, (int)k, 0);
    for (size_t i = 0; i < k; i++) {
        lua_createtable(L, 0, 3);
        mllm_lua_pushinteger(L, view->ids ? view->ids[best[i].id] : best[i].id);
        lua_setfield(L, -2, "id");
        lua_pushnumber(L, (lua_Number)best[i].logit);
        lua_setfield(L, -2, "logit");
        lua_pushnumber(L, best[i].logprob);
        lua_setfield(L, -2, "logprob");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* logits:argmax() -> id, logit; nothing when all are masked. */
static int logits_argmax(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    mllm_token at = mllm_logits_argmax(view->data, view->count);
    if (at < 0) return 0;
    mllm_lua_pushinteger(L, view->ids ? view->ids[at] : at);
    lua_pushnumber(L, (lua_Number)view->data[at]);
    return 2;
}

/* logits:logprob(id) -> natural logarithm of its probability */
static int logits_logprob(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    size_t at = place(view, check_id(L, 2, view));
    double x = at == SIZE_MAX ? -INFINITY : (double)view->data[at];
    lua_pushnumber(L, x > -INFINITY ? x - mllm_logits_logsumexp(view->data, view->count) : -INFINITY);
    return 1;
}

/* logits:entropy() -> nats */
static int logits_entropy(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    lua_pushnumber(L, mllm_logits_entropy(view->data, view->count));
    return 1;
}

/* logits:softmax([ids]) -> list of their probabilities; of all tokens (that of id at [id + 1]) without ids */
static int logits_softmax(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    size_t count = view->size;
    const mllm_token *ids = NULL;
    if (!lua_isnoneornil(L, 2)) ids = check_ids(L, 2, view, &count);
    float *p = mllm_lua_buffer(L, view->count, sizeof *p);
    mllm_logits_softmax(view->data, view->count, p);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        size_t at = place(view, ids ? ids[i] : (mllm_token)i);
        lua_pushnumber(L, at == SIZE_MAX ? 0 : (lua_Number)p[at]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* logits:string() -> the array as 4 bytes a token, IEEE 754, the lowest byte first */
static int logits_string(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    unsigned char *bytes = mllm_lua_buffer(L, view->size, 4);
    for (size_t i = 0; i < view->size; i++) {
        size_t at = place(view, (mllm_token)i);
        float x = at == SIZE_MAX ? -INFINITY : view->data[at];
        uint32_t bits;
        memcpy(&bits, &x, sizeof bits);
        for (int k = 0; k < 4; k++) bytes[4 * i + (size_t)k] = (unsigned char)(bits >> 8 * k);
    }
    lua_pushlstring(L, (const char *)bytes, view->size * 4);
    return 1;
}

/* #logits -> size of the vocabulary */
static int logits_len(lua_State *L) {
    mllm_lua_pushinteger(L, (int64_t)mllm_lua_check_logits(L, 1)->size);
    return 1;
}

/* --------------------------------------------------------- whole arrays */

/* logits:copy() -> logits that belong to nobody and never get stale */
static int logits_copy(lua_State *L) {
    const mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    mllm_lua_logits *copy = mllm_lua_new_logits(L, view->size);
    if (!view->ids) memcpy(copy->data, view->data, view->size * sizeof *copy->data);
    for (size_t i = 0; view->ids && i < view->size; i++) {
        size_t at = place(view, (mllm_token)i);
        copy->data[i] = at == SIZE_MAX ? -INFINITY : view->data[at];
    }
    return 1;
}

/* The logits at index 2 in the places of `view`'s; pushes the buffer that owns them if it makes one. */
static const float *check_other(lua_State *L, const mllm_lua_logits *view) {
    const mllm_lua_logits *other = mllm_lua_check_logits(L, 2);
    if (other->size != view->size && !view->ids)
        luaL_argerror(L, 2,
                      lua_pushfstring(L, "logits of %d tokens expected, got %d", (int)view->size, (int)other->size));
    if (!view->ids && !other->ids) return other->data;
    float *gathered = mllm_lua_buffer(L, view->count, sizeof *gathered);
    for (size_t i = 0; i < view->count; i++) {
        mllm_token id = view->ids ? view->ids[i] : (mllm_token)i;
        size_t at = (size_t)id < other->size ? place(other, id) : SIZE_MAX;
        gathered[i] = at == SIZE_MAX ? -INFINITY : other->data[at];
    }
    return gathered;
}

/* logits:guide(other, scale) -> logits. Classifier-free guidance; `other` is of a session without what is to be stressed. 1 changes no
 * probability, more stresses. */
static int logits_guide(lua_State *L) {
    mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    double scale = luaL_checknumber(L, 3);
    luaL_argcheck(L, scale > -INFINITY && scale < INFINITY, 3, "a finite number expected");
    mllm_logits_guide(view->data, check_other(L, view), view->count, scale);
    lua_settop(L, 1);
    return 1;
}

/* logits:contrast(other, {alpha = 0.1, beta = 0.5}) -> logits. Contrastive decoding; `other` is of a weaker model. */
static int logits_contrast(lua_State *L) {
    static const char *const names[] = {"alpha", "beta", NULL};
    mllm_lua_logits *view = mllm_lua_check_logits(L, 1);
    mllm_lua_options(L, 3, "contrast", names);
    double alpha = mllm_lua_option_number(L, 3, "alpha", 0.1, 0, 1);
    double beta = mllm_lua_option_number(L, 3, "beta", 0.5, 0, 1e6);
    mllm_logits_contrast(view->data, check_other(L, view), view->count, alpha, beta);
    lua_settop(L, 1);
    return 1;
}

/* core.logits(list of numbers, or a string as of logits:string()) -> logits of their own */
static int logits_new(lua_State *L) {
    if (lua_type(L, 1) == LUA_TSTRING) {
        size_t bytes;
        const unsigned char *s = (const unsigned char *)lua_tolstring(L, 1, &bytes);
        luaL_argcheck(L, bytes > 0 && bytes % 4 == 0, 1, "four bytes for each token expected");
        mllm_lua_logits *view = mllm_lua_new_logits(L, bytes / 4);
        for (size_t i = 0; i < bytes / 4; i++) {
            uint32_t bits = 0;
            for (int k = 0; k < 4; k++) bits |= (uint32_t)s[4 * i + (size_t)k] << 8 * k;
            memcpy(&view->data[i], &bits, sizeof bits);
        }
        return 1;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t n = lua_rawlen(L, 1);
    luaL_argcheck(L, n > 0 && n < INT32_MAX, 1, "one number or more expected");
    mllm_lua_logits *view = mllm_lua_new_logits(L, n);
    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            luaL_argerror(L, 1,
                          lua_pushfstring(L, "number expected at [%d], got %s", (int)i + 1, luaL_typename(L, -1)));
        view->data[i] = (float)lua_tonumber(L, -1);
        lua_pop(L, 1);
    }
    return 1;
}

static const luaL_Reg methods[] = {{"get", logits_get},           {"set", logits_set},
                                   {"add", logits_add},           {"mask", logits_mask},
                                   {"topk", logits_topk},         {"argmax", logits_argmax},
                                   {"logprob", logits_logprob},   {"entropy", logits_entropy},
                                   {"softmax", logits_softmax},   {"string", logits_string},
                                   {"copy", logits_copy},         {"guide", logits_guide},
                                   {"contrast", logits_contrast}, {NULL, NULL}};

static const luaL_Reg metamethods[] = {{"__len", logits_len}, {NULL, NULL}};

void mllm_lua_open_logits(lua_State *L) {
    mllm_lua_class_open(L, &mllm_lua_logits_class, methods, metamethods);
    lua_pushcfunction(L, logits_new);
    lua_setfield(L, -2, "logits");
}
