#include "nn.h"

#include <string.h>

#include "frame.h"
#include "run.h"
#include "tensors.h"

struct host host;

void nn_begin(const struct profile *profile, struct nn_limits limits) {
    host.profile = profile;
    host.limits = limits;
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
        if (!decide(f, &program->steps[i]))
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
