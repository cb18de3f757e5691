#include "call.h"

#include <string.h>

const struct function_facts FUNCTIONS[FUNCTION_COUNT] = {
    [LOAD] = {"load", 5},
    [LOAD_BY_NAME] = {"load_by_name", 3},
    [LOAD_BY_NAME_WITH_CONFIG] = {"load_by_name_with_config", 5},
    [INIT_EXECUTION_CONTEXT] = {"init_execution_context", 2},
    [SET_INPUT] = {"set_input", 3},
    [COMPUTE] = {"compute", 1},
    [GET_OUTPUT] = {"get_output", 5},
    [COMPUTE_SINGLE] = {"compute_single", 1},
    [GET_OUTPUT_SINGLE] = {"get_output_single", 5},
    [FINI_SINGLE] = {"fini_single", 1},
    [UNLOAD] = {"unload", 1},
    [FINALIZE_EXECUTION_CONTEXT] = {"finalize_execution_context", 1},
};

const struct range_facts RANGES[RANGE_COUNT] = {
    [BUILDERS] = {"builders", "the list of builders"},
    [MODEL] = {"model", "the model's bytes"},
    [EVERY_MODEL] = {"every-model", "the bytes of a builder"},
    [NAME] = {"name", "the name"},
    [CONFIG] = {"config", "the configuration"},
    [GRAPH_OUT] = {"graph-out", "the place for the graph handle"},
    [CONTEXT_OUT] = {"context-out", "the place for the context handle"},
    [TENSOR] = {"tensor", "the tensor record"},
    [DIMS] = {"dims", "the tensor's dimensions"},
    [DATA] = {"data", "the tensor's data"},
    [OUTPUT] = {"output", "the output buffer"},
    [OUTPUT_FIRST_BYTE] = {"output-first-byte", "the output buffer"},
    [SIZE_OUT] = {"size-out", "the place for the bytes written"},
};

enum { TENSOR_RECORD = 20 };

static uint32_t u32_at(const struct call *call, uint64_t at) {
    const unsigned char *p = call->memory + at;
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void refers(struct call *call, enum range what, uint64_t at, uint64_t size) {
    call->ranges[what] = (struct range_at){true, at, size};
}

bool call_readable(const struct call *call, enum range what) {
    const struct range_at *r = &call->ranges[what];
    return r->found && r->at + r->size <= call->memory_size;
}

static void decode_load(struct call *call) {
    call->builders = call->args[1];
    refers(call, BUILDERS, call->args[0], 8 * (uint64_t)call->builders);
    refers(call, GRAPH_OUT, call->args[4], 4);
    if (!call->builders) {
        refers(call, EVERY_MODEL, 0, 0);
        return;
    }
    if (!call_readable(call, BUILDERS))
        return;
    uint64_t at = call->args[0];
    refers(call, MODEL, u32_at(call, at), u32_at(call, at + 4));
    call->ranges[EVERY_MODEL] = call->ranges[MODEL];
    for (uint64_t i = 0; i < call->builders && call->models_readable; i++, at += 8)
        call->models_readable = (uint64_t)u32_at(call, at) + u32_at(call, at + 4) <= call->memory_size;
}

static void decode_name(struct call *call, bool config) {
    refers(call, NAME, call->args[0], call->args[1]);
    refers(call, GRAPH_OUT, call->args[config ? 4 : 2], 4);
    if (config)
        refers(call, CONFIG, call->args[2], call->args[3]);
    if (!call_readable(call, NAME))
        return;
    uint32_t size = call->args[1];
    call->has_name = true;
    call->name = (struct slice){(const char *)call->memory + call->args[0], size > MOST_NAME_BYTES ? MOST_NAME_BYTES + 1 : size};
}

static void decode_dims(struct call *call, uint64_t at, uint64_t length) {
    call->dims_length = length;
    refers(call, DIMS, at, 4 * length);
    if (!call_readable(call, DIMS))
        return;
    call->shown = length < MOST_DIMS ? (uint32_t)length : MOST_DIMS;
    uint32_t count = 1;
    for (uint64_t i = 0; i < length && count; i++) {
        uint32_t dim = u32_at(call, at + 4 * i);
        if (i < MOST_DIMS)
            call->dims[i] = dim;
        count *= dim;
    }
    for (uint32_t i = 0; i < call->shown; i++)
        call->dims[i] = u32_at(call, at + 4 * i);
    call->dims_count = count;
}

static void decode_tensor(struct call *call) {
    uint64_t at = call->args[2];
    refers(call, TENSOR, at, TENSOR_RECORD);
    if (!call_readable(call, TENSOR))
        return;
    call->type_code = call->memory[at + 8];
    call->data_length = u32_at(call, at + 16);
    call->has_data_length = true;
    refers(call, DATA, u32_at(call, at + 12), call->data_length);
    decode_dims(call, u32_at(call, at), u32_at(call, at + 4));
}

static void decode_output(struct call *call) {
    call->capacity = call->args[3];
    refers(call, OUTPUT, call->args[2], call->capacity);
    refers(call, OUTPUT_FIRST_BYTE, call->args[2], 1);
    refers(call, SIZE_OUT, call->args[4], 4);
}

void call_decode(struct call *call, enum function function, const uint32_t *args, unsigned char *memory, uint64_t size) {
    memset(call, 0, offsetof(struct call, dims));
    call->shown = 0;
    call->dims_length = 0;
    call->dims_count = 0;
    call->data_length = 0;
    call->has_data_length = false;
    call->capacity = 0;
    call->function = function;
    for (int i = 0; i < FUNCTIONS[function].params; i++)
        call->args[i] = args[i];
    call->has_memory = memory != NULL;
    call->memory = memory;
    call->memory_size = memory ? size : 0;
    call->models_readable = true;
    switch (function) {
    case LOAD:
        decode_load(call);
        break;
    case LOAD_BY_NAME:
    case LOAD_BY_NAME_WITH_CONFIG:
        decode_name(call, function == LOAD_BY_NAME_WITH_CONFIG);
        break;
    case INIT_EXECUTION_CONTEXT:
        refers(call, CONTEXT_OUT, call->args[1], 4);
        break;
    case SET_INPUT:
        decode_tensor(call);
        break;
    case GET_OUTPUT:
    case GET_OUTPUT_SINGLE:
        decode_output(call);
        break;
    default:
        break;
    }
}

void say_dims(struct text *to, const struct call *call) {
    if (call->dims_length > call->shown)
        text_say(to, "%llu dimensions", (unsigned long long)call->dims_length);
    else
        for (uint32_t i = 0; i < call->shown; i++)
            text_say(to, i ? "x%u" : "%u", call->dims[i]);
    if (!call->dims_length)
        text_say(to, "scalar");
}
