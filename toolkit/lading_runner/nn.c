#include "nn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models.h"
#include "run.h"
#include "tensors.h"

struct graph {
    uint32_t handle;
    struct held *held;
};

struct context {
    uint32_t handle;
    struct graph *graph;
    struct live live;
    bool computed; /* compute has succeeded at least once */
    bool stepped;  /* compute_single has run since the context began or fini_single ended a stream */
};

static struct {
    const struct profile *profile;
    struct nn_limits limits;
    struct graph **graphs;
    size_t graph_count;
    uint32_t next_graph;
    struct context **contexts;
    size_t context_count;
    uint32_t next_context;
} host;

enum action { NOTHING, INVOKE, STEP, RESET };

struct transfer {
    enum transfer_kind how;
    uint32_t tensor;
    uint64_t bytes; /* in guest memory */
};

/* One call under decision. */
struct frame {
    struct call call;
    struct graph *graph;
    struct held *held;
    struct context *context;
    struct live live; /* for a context that is not there yet */
    const struct facts *facts;
    const struct tensor *input;
    const struct tensor *output;
    struct transfer transfer;
    uint64_t wanted; /* bytes that an output needs in guest memory */
    struct {
        enum range what;
        uint32_t value;
    } writes[2];
    int write_count;
    enum action action;
    struct outcome action_fail;
    struct outcome outcome;
    struct text reason;
};

void nn_begin(const struct profile *profile, struct nn_limits limits) {
    host.profile = profile;
    host.limits = limits;
}

static bool fail(struct frame *f, struct outcome outcome) {
    f->outcome = outcome;
    return outcome.success;
}

#define FAIL(frame, step, ...) (text_say(&(frame)->reason, __VA_ARGS__), fail(frame, (step)->fail))

static void will_write(struct frame *f, enum range what, uint64_t value) {
    if (f->write_count < 2) {
        f->writes[f->write_count].what = what;
        f->writes[f->write_count++].value = (uint32_t)value;
    }
}

/* Which tensor, what it expects, what came. */
static void say_mismatch(struct frame *f) {
    const struct tensor *tensor = f->input;
    struct text *to = &f->reason;
    text_say(to, "input %u '%.*s' is ", f->call.args[ARG_INDEX], (int)tensor->name.size, tensor->name.data);
    say_tensor(to, tensor);
    text_say(to, " (%llu bytes) and takes ", (unsigned long long)tensor->bytes);
    say_expected(to, host.profile, tensor, models_int8(f->held));
    text_say(to, " ");
    say_shape(to, tensor->shape, tensor->rank);
    text_say(to, "; the guest sent ");
    say_type(to, host.profile, f->call.type_code);
    text_say(to, " (type %u) ", f->call.type_code);
    say_dims(to, &f->call);
    if (f->call.has_data_length)
        text_say(to, ", %u bytes", f->call.data_length);
    text_say(to, ": ");
}

static bool readable(struct frame *f, const struct step *s) {
    const struct range_at *r = &f->call.ranges[s->what];
    if (r->found && call_readable(&f->call, s->what) && (s->what != EVERY_MODEL || f->call.models_readable))
        return true;
    const char *words = RANGES[s->what].words;
    if (!r->found)
        return FAIL(f, s, "%s is outside guest memory", words);
    return FAIL(f, s, "%s is outside guest memory (%llu bytes at %llu, memory has %llu)", words, (unsigned long long)r->size,
                (unsigned long long)r->at, (unsigned long long)f->call.memory_size);
}

static bool model_size(struct frame *f, const struct step *s) {
    int64_t size = -1, limit = host.limits.model_bytes;
    if (f->call.has_name) {
        struct held *named = models_find(f->call.name);
        size = named ? (int64_t)named->size : -1;
    } else {
        size = f->call.ranges[MODEL].found ? (int64_t)f->call.ranges[MODEL].size : 0;
    }
    return size <= limit || FAIL(f, s, "the model has %lld bytes, the limit is %lld", (long long)size, (long long)limit);
}

static bool given_model(struct frame *f, const struct step *s) {
    const struct range_at *r = &f->call.ranges[MODEL];
    static const unsigned char none[1];
    f->held = models_given(r->found && r->size ? f->call.memory + r->at : none, r->found ? r->size : 0);
    f->facts = models_facts(f->held);
    if (!f->facts->error)
        return true;
    text_say(&f->reason, "%s", f->facts->error);
    models_release(f->held);
    f->held = NULL;
    f->facts = NULL;
    return fail(f, s->fail);
}

static bool named_model(struct frame *f, const struct step *s) {
    struct slice name = f->call.has_name ? f->call.name : (struct slice){0};
    f->held = models_find(name);
    if (f->held) {
        f->facts = models_facts(f->held);
        return true;
    }
    name.size = name.size > 80 ? 80 : name.size;
    text_say(&f->reason, "there is no model named ");
    text_quoted(&f->reason, name);
    return fail(f, s->fail);
}

static bool operators(struct frame *f, const struct step *s) {
    if (!f->facts || !host.profile->operators || !host.profile->operators->first)
        return true;
    for (size_t i = 0; i < f->facts->operator_count; i++) {
        const struct operator *operator = &f->facts->operators[i];
        char code[16];
        snprintf(code, sizeof code, "%d", operator->code);
        int64_t known = json_integer(host.profile->operators, code, 0);
        if (operator->version <= known || operator->code == CUSTOM_OPERATOR)
            continue;
        text_say(&f->reason, "operator %s has version %d: this TFLite has it ", code, operator->version);
        return known ? FAIL(f, s, "up to version %lld", (long long)known) : FAIL(f, s, "not at all");
    }
    return true;
}

static bool claim_graph(struct frame *f) {
    struct graph *graph = need(sizeof *graph);
    *graph = (struct graph){host.next_graph++, f->held};
    host.graphs = need_more(host.graphs, (host.graph_count + 1) * sizeof *host.graphs);
    host.graphs[host.graph_count++] = graph;
    f->graph = graph;
    will_write(f, GRAPH_OUT, graph->handle);
    return true;
}

static bool find_graph(struct frame *f, const struct step *s) {
    uint32_t handle = f->call.args[ARG_HANDLE];
    for (size_t i = 0; i < host.graph_count; i++)
        if (host.graphs[i]->handle == handle) {
            f->graph = host.graphs[i];
            f->held = f->graph->held;
            f->facts = &f->held->facts;
            return true;
        }
    return FAIL(f, s, "there is no graph %u", handle);
}

static bool find_context(struct frame *f, const struct step *s) {
    uint32_t handle = f->call.args[ARG_HANDLE];
    for (size_t i = 0; i < host.context_count; i++)
        if (host.contexts[i]->handle == handle) {
            f->context = host.contexts[i];
            f->graph = f->context->graph;
            f->held = f->graph->held;
            f->facts = &f->held->facts;
            return true;
        }
    return FAIL(f, s, "there is no execution context %u", handle);
}

static bool prepare(struct frame *f, const struct step *s) {
    text_say(&f->reason, "the interpreter cannot prepare the model: ");
    if (!models_live(f->held, &f->live, &f->reason))
        return fail(f, s->fail);
    text_free(&f->reason);
    return true;
}

static bool claim_context(struct frame *f) {
    struct context *context = need(sizeof *context);
    *context = (struct context){.handle = host.next_context++, .graph = f->graph, .live = f->live};
    host.contexts = need_more(host.contexts, (host.context_count + 1) * sizeof *host.contexts);
    host.contexts[host.context_count++] = context;
    f->context = context;
    will_write(f, CONTEXT_OUT, context->handle);
    return true;
}

static void drop_context(size_t at) {
    struct context *context = host.contexts[at];
    live_free(&context->live);
    free(context);
    memmove(host.contexts + at, host.contexts + at + 1, (--host.context_count - at) * sizeof *host.contexts);
}

static bool drop_graph(struct frame *f) {
    for (size_t i = host.context_count; i-- > 0;)
        if (host.contexts[i]->graph == f->graph)
            drop_context(i);
    for (size_t i = 0; i < host.graph_count; i++)
        if (host.graphs[i] == f->graph) {
            memmove(host.graphs + i, host.graphs + i + 1, (--host.graph_count - i) * sizeof *host.graphs);
            break;
        }
    free(f->graph);
    f->graph = NULL;
    return true;
}

static bool input_type(struct frame *f) {
    const struct rule *rule = input_rule(host.profile, f->input, models_int8(f->held), f->call.type_code);
    if (!rule || rule->how == TRANSFER_NONE) {
        say_mismatch(f);
        text_say(&f->reason, "type");
        return fail(f, rule ? rule->refusal : host.profile->input_otherwise);
    }
    if (rule->how == TRANSFER_QUANTIZE && !f->input->quantized) {
        say_mismatch(f);
        text_say(&f->reason, "it has no single scale and zero point");
        return fail(f, host.profile->input_otherwise);
    }
    uint64_t bytes = rule->how == TRANSFER_COPY ? f->input->bytes : 4 * f->input->count;
    f->transfer = (struct transfer){rule->how, f->call.args[ARG_INDEX], bytes};
    return true;
}

static bool dims(struct frame *f, const struct step *s) {
    const struct tensor *tensor = f->input;
    bool fits;
    if (s->exact) {
        fits = f->call.dims_length == tensor->rank && f->call.shown == tensor->rank;
        for (uint32_t i = 0; i < tensor->rank && fits; i++)
            fits = f->call.dims[i] == (uint32_t)tensor->shape[i];
    } else {
        fits = f->call.dims_count == tensor->count;
    }
    if (fits)
        return true;
    say_mismatch(f);
    return FAIL(f, s, s->exact ? "dimensions" : "number of elements");
}

static bool output_type(struct frame *f) {
    uint32_t index = f->call.args[ARG_INDEX];
    const struct rule *rule = output_rule(host.profile, f->output, models_int8(f->held));
    enum transfer_kind how = rule ? rule->how : TRANSFER_COPY;
    if (how == TRANSFER_NONE) {
        text_say(&f->reason, "output %u '%.*s' is ", index, (int)f->output->name.size, f->output->name.data);
        say_tensor(&f->reason, f->output);
        return fail(f, rule->refusal);
    }
    uint64_t bytes = f->context->live.inference->outputs[index].bytes;
    if (how == TRANSFER_DEQUANTIZE)
        bytes = bytes / (f->output->element ? f->output->element : 1) * 4;
    f->wanted = bytes;
    f->transfer = (struct transfer){how, index, bytes};
    return true;
}

static bool capacity(struct frame *f, const struct step *s) {
    if (f->wanted <= f->call.capacity)
        return true;
    if (s->write_needed)
        will_write(f, SIZE_OUT, f->wanted);
    return FAIL(f, s, "output %u '%.*s' has %llu bytes, the guest's buffer %u", f->call.args[ARG_INDEX], (int)f->output->name.size,
                f->output->name.data, (unsigned long long)f->wanted, f->call.capacity);
}

static bool code(struct frame *f, const struct codes *codes, uint32_t number) {
    struct outcome outcome = codes_answer(host.profile, codes, number, &f->reason);
    return outcome.success || fail(f, outcome);
}

/* Whether the call goes on to the next step. */
static bool take(struct frame *f, const struct step *s) {
    uint32_t index = f->call.args[ARG_INDEX];
    switch (s->kind) {
    case STEP_MEMORY:
        return f->call.has_memory || FAIL(f, s, "the guest exports no memory named 'memory'");
    case STEP_READABLE:
        return readable(f, s);
    case STEP_ENCODING:
        return code(f, &host.profile->encodings, f->call.args[ARG_ENCODING]);
    case STEP_TARGET:
        return code(f, &host.profile->targets, f->call.args[ARG_TARGET]);
    case STEP_BUILDER_COUNT:
        return f->call.builders == s->count ||
               FAIL(f, s, "a TFLite model comes in %u piece, the guest gave %u", s->count, f->call.builders);
    case STEP_BACKEND:
        return host.profile->backend || FAIL(f, s, "this host has no TFLite backend");
    case STEP_MODEL_SIZE:
        return model_size(f, s);
    case STEP_GRAPH_SLOT:
        return (int64_t)host.graph_count < host.limits.graphs ||
               FAIL(f, s, "the limit of %lld graphs is reached", (long long)host.limits.graphs);
    case STEP_GIVEN_MODEL:
        return given_model(f, s);
    case STEP_CLAIM_GRAPH:
        return claim_graph(f);
    case STEP_NAMED_MODEL:
        return named_model(f, s);
    case STEP_NAMED_MODEL_LOADS:
        return !f->facts || !f->facts->error || FAIL(f, s, "%s", f->facts->error);
    case STEP_OPERATORS:
        return operators(f, s);
    case STEP_GRAPH:
        return find_graph(f, s);
    case STEP_CONTEXT_SLOT:
        return (int64_t)host.context_count < host.limits.contexts ||
               FAIL(f, s, "the limit of %lld contexts is reached", (long long)host.limits.contexts);
    case STEP_PREPARE:
        return prepare(f, s);
    case STEP_CLAIM_CONTEXT:
        return claim_context(f);
    case STEP_CONTEXT:
        return find_context(f, s);
    case STEP_INPUT_INDEX:
        if (index >= f->facts->inputs.count)
            return FAIL(f, s, "there is no input %u: the model has %zu", index, f->facts->inputs.count);
        f->input = &f->facts->inputs.items[index];
        return true;
    case STEP_INPUT_TYPE:
        return input_type(f);
    case STEP_DIMS:
        return dims(f, s);
    case STEP_DATA_LENGTH:
        if (f->call.data_length == f->transfer.bytes)
            return true;
        say_mismatch(f);
        return FAIL(f, s, "%llu bytes are needed", (unsigned long long)f->transfer.bytes);
    case STEP_PUT_INPUT:
        return true;
    case STEP_INVOKE:
        f->action = INVOKE;
        f->action_fail = s->fail;
        f->context->computed = true;
        return true;
    case STEP_OUTPUT_INDEX:
        if (index >= f->facts->outputs.count)
            return FAIL(f, s, "there is no output %u: the model has %zu", index, f->facts->outputs.count);
        f->output = &f->facts->outputs.items[index];
        return true;
    case STEP_COMPUTED:
        return (s->by_step ? f->context->stepped : f->context->computed) ||
               FAIL(f, s, "%s has not run: there is no output yet", s->by_step ? "compute_single" : "compute");
    case STEP_OUTPUT_TYPE:
        return output_type(f);
    case STEP_CAPACITY:
        return capacity(f, s);
    case STEP_PUT_OUTPUT:
        will_write(f, SIZE_OUT, f->wanted);
        return true;
    case STEP_STATE_TENSORS:
        return models_has_state(f->held) ||
               FAIL(f, s, "the model has no declared state tensors: say which output feeds which input ('state')");
    case STEP_INVOKE_STEP:
        f->action = STEP;
        f->action_fail = s->fail;
        f->context->stepped = true;
        return true;
    case STEP_RESET_STEPS:
        f->action = RESET;
        f->context->stepped = false;
        return true;
    case STEP_DROP_GRAPH:
        return drop_graph(f);
    case STEP_DROP_CONTEXT:
        for (size_t i = 0; i < host.context_count; i++)
            if (host.contexts[i] == f->context) {
                drop_context(i);
                break;
            }
        f->context = NULL;
        return true;
    case STEP_COUNT:
        break;
    }
    return true;
}

static void tell_tensor(const struct live *live, size_t index) {
    const struct facts *facts = &live->held->facts;
    const struct buffer *buffer = &live->inference->outputs[index];
    struct text tensor = event("tensor"), label = {0};
    event_text(&tensor, "model", json_text(live->held->spec, "name", ""));
    text_utf8(&label, tensor_label(&facts->outputs, index));
    event_text(&tensor, "output", (struct slice){label.data, label.size});
    text_say(&tensor, ",\"index\":%zu,\"step\":%lld", index, (long long)live->steps);
    event_text(&tensor, "dtype", slice_of(facts->outputs.items[index].dtype));
    text_say(&tensor, ",\"shape\":[");
    for (uint32_t i = 0; i < buffer->rank; i++)
        text_say(&tensor, "%s%d", i ? "," : "", buffer->shape[i]);
    text_say(&tensor, "],\"data\":\"");
    text_base64(&tensor, buffer->data, buffer->bytes);
    text_say(&tensor, "\"");
    event_send(&tensor);
    text_free(&label);
}

static void hand_on(struct live *live) {
    for (size_t i = 0; i < live->inference->output_count; i++) {
        bool state = false;
        for (size_t p = 0; p < live->pair_count; p++)
            state = state || live->pairs[p].source == i;
        if (!state)
            tell_tensor(live, i);
    }
    for (size_t p = 0; p < live->pair_count; p++) {
        const struct buffer *from = &live->inference->outputs[live->pairs[p].source];
        struct buffer *to = &live->inference->inputs[live->pairs[p].target];
        memmove(to->data, from->data, from->bytes < to->bytes ? from->bytes : to->bytes);
    }
    live->steps++;
}

static void act(struct frame *f) {
    struct live *live = &f->context->live;
    if (f->action == RESET) {
        for (size_t p = 0; p < live->pair_count; p++) {
            size_t target = live->pairs[p].target;
            fill_zero(&f->facts->inputs.items[target], &live->inference->inputs[target]);
        }
        live->steps = 0;
        return;
    }
    int64_t began = now_ns();
    struct text error = {0};
    if (inference_run(live->inference, &error)) {
        if (f->action == STEP)
            hand_on(live);
        figures_inference(now_ns() - began);
        return;
    }
    f->outcome = f->action_fail;
    f->transfer.how = TRANSFER_NONE;
    text_say(&f->reason, "the interpreter says: %s", error.data);
    text_free(&error);
    if (f->action == INVOKE)
        f->context->computed = false;
    run_drain();
}

static void transfer(struct frame *f) {
    struct inference *inference = f->context->live.inference;
    const struct transfer *t = &f->transfer;
    if (!t->bytes)
        return;
    if (f->input) {
        unsigned char *to = inference->inputs[t->tensor].data;
        const unsigned char *from = f->call.memory + f->call.ranges[DATA].at;
        if (t->how == TRANSFER_QUANTIZE)
            quantize(f->input, to, from, f->input->count);
        else
            memcpy(to, from, t->bytes);
    } else {
        unsigned char *to = f->call.memory + f->call.ranges[OUTPUT].at;
        const unsigned char *from = inference->outputs[t->tensor].data;
        if (t->how == TRANSFER_DEQUANTIZE)
            dequantize(f->output, to, from, t->bytes / 4);
        else
            memcpy(to, from, t->bytes);
    }
}

/* Whatever a profile's steps say, no byte goes outside guest memory. */
static bool inside(const struct frame *f) {
    const struct range_at *r = &f->call.ranges[f->input ? DATA : OUTPUT];
    return f->call.memory && r->found && f->transfer.bytes <= f->call.memory_size && r->at <= f->call.memory_size - f->transfer.bytes;
}

static void write_u32(struct frame *f, enum range what, uint32_t value) {
    if (!call_readable(&f->call, what))
        return;
    unsigned char *p = f->call.memory + f->call.ranges[what].at;
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

static void log_failure(struct frame *f) {
    struct text line = {0};
    text_say(&line, "%s: ", FUNCTIONS[f->call.function].name);
    text_add(&line, f->reason.data, f->reason.size);
    text_say(&line, ": %s", f->outcome.name);
    run_log("error", (struct slice){line.data, line.size});
    text_free(&line);
}

static void may_end(struct frame *f) {
    if (f->outcome.kind == OUTCOME_ERRNO)
        return;
    struct text message = {0};
    const char *function = FUNCTIONS[f->call.function].name, *reason = f->reason.data ? f->reason.data : "";
    if (f->outcome.kind == OUTCOME_TRAP) {
        text_say(&message, "%s: %s", function, reason);
        run_ends("trap", host.profile->status_trap, "trap", message.data, "");
    }
    bool aborts = f->outcome.kind == OUTCOME_ABORT;
    text_say(&message, "host crash (known: %s: %s)", function, reason);
    run_ends("host-crash", aborts ? host.profile->status_abort : host.profile->status_segv, aborts ? "host-abort" : "host-segv",
             message.data, "the real host dies here: see the firmware profile");
}

static enum phase phase_of(enum function function) {
    switch (function) {
    case LOAD:
    case LOAD_BY_NAME:
    case LOAD_BY_NAME_WITH_CONFIG:
        return PHASE_LOAD;
    case INIT_EXECUTION_CONTEXT:
        return PHASE_INIT;
    case SET_INPUT:
        return PHASE_SET_INPUT;
    case COMPUTE:
    case COMPUTE_SINGLE:
        return PHASE_COMPUTE;
    case GET_OUTPUT:
    case GET_OUTPUT_SINGLE:
        return PHASE_GET_OUTPUT;
    default:
        return PHASE_GUEST;
    }
}

uint32_t nn_call(enum function function, const uint32_t *args, unsigned char *memory, uint64_t memory_size) {
    struct frame frame, *f = &frame;
    memset(f, 0, sizeof *f);
    const struct program *program = &host.profile->programs[function];
    enum phase phase = phase_of(function);
    bool slow = phase == PHASE_LOAD || phase == PHASE_INIT;
    int64_t began = slow ? now_ns() : 0;
    figures.calls++;
    *run_phase = (unsigned char)phase;
    call_decode(&f->call, function, args, memory, memory_size);
    f->outcome = host.profile->success;
    for (size_t i = 0; i < program->count; i++)
        if (!take(f, &program->steps[i]))
            break;
    if (slow) {
        *(phase == PHASE_LOAD ? &figures.load_ns : &figures.init_ns) += now_ns() - began;
        run_drain();
    }
    if (f->outcome.success) {
        if (f->action)
            act(f);
        if (f->transfer.how && inside(f))
            transfer(f);
    }
    for (int i = 0; i < f->write_count; i++)
        write_u32(f, f->writes[i].what, f->writes[i].value);
    if (f->reason.size && !f->outcome.success)
        log_failure(f);
    may_end(f);
    text_free(&f->reason);
    *run_phase = PHASE_GUEST;
    return f->outcome.number;
}
