#include "facts.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "flatbuffer.h"

enum { SCHEMA_VERSION = 3 };

static const struct {
    const char *name;
    size_t bytes;
} TYPES[] = {{"float32", 4}, {"float16", 2}, {"int32", 4},   {"uint8", 1},      {"int64", 8},  {"string", 0},  {"bool", 1},
             {"int16", 2},   {"complex64", 8}, {"int8", 1}, {"float64", 8}, {"complex128", 16}, {"uint64", 8}, {"resource", 0},
             {"variant", 0}, {"uint32", 4},  {"uint16", 2}, {"int4", 0},     {"bfloat16", 2}};

enum { TYPE_COUNT = sizeof TYPES / sizeof TYPES[0] };

/* LSTM, RNN and SVDF in their variants, CALL_ONCE, hash tables, variables, random numbers. */
static const int STATEFUL[] = {16, 24, 27, 35, 44, 46, 52, 129, 136, 137, 138, 142, 143, 144, 146, 148, 149};

/* Operators whose output's shape comes from the values of inputs at these positions (a bit each). */
static const struct {
    int code;
    unsigned positions;
} SHAPED_BY[] = {{22, 2}, {23, 2}, {34, 2}, {37, 6}, {38, 6}, {39, 2}, {40, 2}, {45, 14}, {48, 2},
                 {49, 1}, {60, 2}, {65, 6}, {67, 1}, {68, 2}, {69, 2}, {70, 2}, {74, 2},  {81, 2},
                 {82, 2}, {85, 2}, {89, 2}, {91, 2}, {94, 1}, {96, 7}, {97, 2}, {102, 6}, {130, 2}};

static const int ALWAYS_SHAPED[] = {103, 109};

static void read_tensor(struct reader *r, int64_t table, uint32_t number, struct tensor *into) {
    int type = field_i8(r, table, TENSOR_TYPE);
    into->number = number;
    struct text name = {0};
    if (type >= 0 && type < TYPE_COUNT) {
        text_say(&name, "%s", TYPES[type].name);
        into->element = TYPES[type].bytes;
    } else {
        text_say(&name, "type-%d", type);
    }
    memcpy(into->dtype, name.data, name.size + 1);
    text_free(&name);
    struct vector shape = bounded(r, table, TENSOR_SHAPE, 4, MOST_RANK);
    bounded(r, table, TENSOR_SIGNATURE, 4, MOST_RANK);
    into->rank = (uint32_t)shape.count;
    into->count = 1;
    bool many = false;
    for (uint32_t i = 0; i < into->rank; i++) {
        int32_t dim = int_in(r, shape, i);
        into->shape[i] = dim < 0 ? 1 : dim;
        if (!dim)
            many = false, into->count = 0;
        else if (!many && into->count && __builtin_mul_overflow(into->count, (uint64_t)into->shape[i], &into->count))
            many = true;
    }
    for (uint32_t i = 0; i < into->rank; i++)
        if (!into->shape[i])
            many = false, into->count = 0;
    if (many)
        into->count = UINT64_MAX;
    if (__builtin_mul_overflow(into->count, (uint64_t)into->element, &into->bytes))
        into->bytes = UINT64_MAX;
    int64_t channels = 0, at = place(r, table, TENSOR_QUANTIZATION);
    if (at) {
        int64_t quantization = at + u32(r, at);
        struct vector scales = vector(r, quantization, 2, 4);
        channels = scales.count;
        if (channels) {
            float scale;
            memcpy(&scale, piece(r, scales.at, 4), 4);
            into->scale = (double)scale;
        }
        struct vector zeros = vector(r, quantization, 3, 8);
        if (zeros.count)
            into->zero_point = i64(r, zeros.at);
    }
    into->name = text_field(r, table, TENSOR_NAME);
    into->per_channel = channels > 1;
    into->scaled = into->scale > 0.0 || into->per_channel;
    into->quantized = into->scale > 0.0 && !into->per_channel &&
                      (!strcmp(into->dtype, "int8") || !strcmp(into->dtype, "uint8") || !strcmp(into->dtype, "int16"));
}

static void read_names(struct reader *r, int64_t signature, int number, struct vector positions, struct tensors *into) {
    struct vector entries = tables(r, signature, number);
    into->aliases = need((size_t)entries.count * sizeof *into->aliases);
    for (int64_t i = 0; i < entries.count; i++) {
        int64_t entry = table_in(r, entries, i);
        uint32_t tensor = field_u32(r, entry, 1, 0);
        for (int64_t p = 0; p < positions.count; p++) {
            if ((uint32_t)int_in(r, positions, p) != tensor)
                continue;
            struct slice name = text_field(r, entry, 0);
            size_t known = 0;
            while (known < into->alias_count && !same(into->aliases[known].name, name))
                known++;
            into->aliases[known] = (struct alias){name, (size_t)p};
            into->alias_count += known == into->alias_count;
            break;
        }
    }
}

static bool among(const int *codes, size_t count, int code) {
    for (size_t i = 0; i < count; i++)
        if (codes[i] == code)
            return true;
    return false;
}

/* A tensor whose values are not in the file. */
static bool computed(struct reader *r, int64_t root, int32_t tensor, struct vector all) {
    if (tensor < 0 || tensor >= all.count)
        return false;
    uint32_t buffer = field_u32(r, table_in(r, all, tensor), TENSOR_BUFFER, 0);
    struct vector buffers = vector(r, root, MODEL_BUFFERS, 4);
    if (buffer >= buffers.count)
        return true;
    int64_t table = table_in(r, buffers, buffer);
    if (vector(r, table, 0, 1).count)
        return false;
    int64_t at = place(r, table, 1);
    return !(at && i64(r, at));
}

static bool shaped(struct reader *r, int64_t root, int64_t operator, int code, struct vector all) {
    if (among(ALWAYS_SHAPED, sizeof ALWAYS_SHAPED / sizeof *ALWAYS_SHAPED, code))
        return true;
    unsigned positions = 0;
    for (size_t i = 0; i < sizeof SHAPED_BY / sizeof *SHAPED_BY; i++)
        if (SHAPED_BY[i].code == code)
            positions = SHAPED_BY[i].positions;
    if (!positions)
        return false;
    struct vector inputs = ints(r, operator, OPERATOR_INPUTS);
    for (int p = 0; p < 4; p++)
        if (positions & 1u << p && p < inputs.count && computed(r, root, int_in(r, inputs, p), all))
            return true;
    return false;
}

static int code_of(struct reader *r, struct vector codes, int64_t i) {
    int64_t table = table_in(r, codes, i);
    int old = field_i8(r, table, 0), now = (int32_t)field_u32(r, table, 3, 0);
    return old > now ? old : now;
}

static struct vector positions_in(struct reader *r, int64_t graph, int number, int64_t tensors_) {
    struct vector found = ints(r, graph, number);
    for (int64_t i = 0; i < found.count; i++) {
        int32_t tensor = int_in(r, found, i);
        if (tensor < 0 || tensor >= tensors_) {
            text_say(&r->error, "tensor %d of %lld", tensor, (long long)tensors_);
            damaged(r);
        }
    }
    return found;
}

static void mark(struct reader *r, struct vector positions, int64_t count, bool *marks) {
    for (int64_t i = 0; i < positions.count; i++)
        if (int_in(r, positions, i) >= 0 && int_in(r, positions, i) < count)
            marks[int_in(r, positions, i)] = true;
}

static _Noreturn void not_built(struct reader *r, const char *why) {
    text_say(&r->error, "%s", why);
    damaged(r);
}

static void read_all(struct reader *r, struct facts *into) {
    int64_t root = u32(r, 0);
    uint32_t version = field_u32(r, root, MODEL_VERSION, 0);
    if (version != SCHEMA_VERSION) {
        text_say(&r->error, "its schema has version %u, not %d", version, SCHEMA_VERSION);
        damaged(r);
    }
    struct vector graphs = tables(r, root, MODEL_GRAPHS);
    for (int64_t i = 0; i < graphs.count; i++)
        table_in(r, graphs, i);
    if (!graphs.count)
        not_built(r, "it has no subgraph");
    struct vector codes = tables(r, root, MODEL_CODES);
    for (int64_t i = 0; i < codes.count; i++) {
        int code = code_of(r, codes, i);
        field_u32(r, table_in(r, codes, i), 2, 1);
        if (code == CUSTOM_OPERATOR)
            text_field(r, table_in(r, codes, i), 1);
    }
    bool *used = need((size_t)codes.count);
    into->operators = need((size_t)codes.count * sizeof *into->operators);
    int64_t main = table_in(r, graphs, 0);
    struct vector all = tables(r, main, GRAPH_TENSORS);
    for (int64_t i = 0; i < all.count; i++)
        table_in(r, all, i);
    r->marks = need((size_t)all.count);
    struct vector inputs = positions_in(r, main, GRAPH_INPUTS, all.count);
    struct vector outputs = positions_in(r, main, GRAPH_OUTPUTS, all.count);
    for (int64_t g = 0; g < graphs.count; g++) {
        int64_t graph = table_in(r, graphs, g);
        struct vector operators = tables(r, graph, GRAPH_OPERATORS);
        for (int64_t i = 0; i < operators.count; i++) {
            int64_t operator = table_in(r, operators, i);
            uint32_t index = field_u32(r, operator, OPERATOR_CODE, 0);
            if (index >= codes.count) {
                text_say(&r->error, "an operator has code %u of %lld", index, (long long)codes.count);
                damaged(r);
            }
            int code = code_of(r, codes, index);
            used[index] = true;
            if (graph == main && shaped(r, root, operator, code, all)) {
                into->shaped_by_data = true;
                mark(r, ints(r, operator, OPERATOR_OUTPUTS), all.count, r->marks);
            }
            if (code == CUSTOM_OPERATOR || among(STATEFUL, sizeof STATEFUL / sizeof *STATEFUL, code))
                into->stateful = true;
        }
    }
    for (int64_t i = 0; i < codes.count; i++)
        if (used[i])
            into->operators[into->operator_count++] =
                (struct operator){code_of(r, codes, i), (int)field_u32(r, table_in(r, codes, i), 2, 1)};
    free(used);
    for (int64_t g = 0; g < graphs.count && !into->stateful; g++) {
        struct vector theirs = tables(r, table_in(r, graphs, g), GRAPH_TENSORS);
        for (int64_t i = 0; i < theirs.count && !into->stateful; i++)
            into->stateful = field_i8(r, table_in(r, theirs, i), TENSOR_VARIABLE) != 0;
    }
    struct vector signatures = tables(r, root, MODEL_SIGNATURES);
    for (int64_t i = 0; i < signatures.count; i++) {
        int64_t signature = table_in(r, signatures, i);
        if (field_u32(r, signature, 4, 0))
            continue;
        read_names(r, signature, 0, inputs, &into->inputs);
        read_names(r, signature, 1, outputs, &into->outputs);
        break;
    }
    struct vector both[] = {inputs, outputs};
    struct tensors *sides[] = {&into->inputs, &into->outputs};
    for (int side = 0; side < 2; side++) {
        sides[side]->items = need((size_t)both[side].count * sizeof *sides[side]->items);
        for (int64_t i = 0; i < both[side].count; i++) {
            int32_t number = int_in(r, both[side], i);
            read_tensor(r, table_in(r, all, number), (uint32_t)number, &sides[side]->items[i]);
            sides[side]->items[i].by_data = side && r->marks[number];
            sides[side]->count++;
        }
    }
}

struct facts facts_read(const unsigned char *data, size_t size) {
    struct facts facts = {0};
    if (size < 8 || memcmp(data + 4, "TFL3", 4)) {
        facts.error = copied(size ? SLICE("the model is not a TFLite model (no TFL3 identifier)") : SLICE("the model is empty"));
        return facts;
    }
    /* On the heap: what is changed between setjmp and longjmp must not lie in this frame. */
    struct reader *r = need(sizeof *r);
    struct facts *into = need(sizeof *into);
    r->data = data;
    r->size = (int64_t)size;
    if (!setjmp(r->bad)) {
        read_all(r, into);
    } else {
        struct text error = {0};
        text_say(&error, "the model is damaged: %s", r->error.data);
        *into = (struct facts){.error = error.data};
    }
    if (!into->error) {
        if (!setjmp(r->bad)) {
            const char *unsafe = look_for_loader(r, u32(r, 0), into);
            if (unsafe)
                into->unsafe = copied(slice_of(unsafe));
        } else {
            into->unsafe = copied((struct slice){r->error.data, r->error.size});
        }
    }
    facts = *into;
    text_free(&r->error);
    free(r->marks);
    free(into);
    free(r);
    return facts;
}

void facts_free(struct facts *facts) {
    free(facts->error);
    free(facts->unsafe);
    free(facts->hidden);
    free(facts->operators);
    free(facts->inputs.items);
    free(facts->inputs.aliases);
    free(facts->outputs.items);
    free(facts->outputs.aliases);
    *facts = (struct facts){0};
}

size_t dtype_bytes(const char *dtype) {
    for (int i = 0; i < TYPE_COUNT; i++)
        if (!strcmp(TYPES[i].name, dtype))
            return TYPES[i].bytes;
    return 0;
}

long tensor_named(const struct tensors *tensors, struct slice name) {
    for (size_t i = 0; i < tensors->alias_count; i++)
        if (same(tensors->aliases[i].name, name))
            return (long)tensors->aliases[i].position;
    for (size_t i = 0; i < tensors->count; i++)
        if (same(tensors->items[i].name, name))
            return (long)i;
    return -1;
}

struct slice tensor_label(const struct tensors *tensors, size_t position) {
    for (size_t i = 0; i < tensors->alias_count; i++)
        if (tensors->aliases[i].position == position)
            return tensors->aliases[i].name;
    return tensors->items[position].name;
}

void say_shape(struct text *to, const int32_t *shape, size_t rank) {
    if (!rank)
        text_say(to, "scalar");
    for (size_t i = 0; i < rank; i++)
        text_say(to, i ? "x%u" : "%u", (uint32_t)shape[i]);
}

void say_tensor(struct text *to, const struct tensor *tensor) {
    text_say(to, "%s ", tensor->dtype);
    say_shape(to, tensor->shape, tensor->rank);
}

void say_names(struct text *to, const struct tensors *tensors) {
    if (!tensors->count)
        text_say(to, "none");
    for (size_t i = 0; i < tensors->count && i < 8; i++) {
        text_say(to, "%s'", i ? ", " : "");
        text_utf8(to, tensors->items[i].name);
        text_say(to, "'");
    }
}
