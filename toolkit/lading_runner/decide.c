#include "frame.h"

#include <stdio.h>
#include <string.h>

enum { MOST_ELEMENT = 8 };

bool fail(struct frame *f, struct outcome outcome) {
    f->outcome = outcome;
    return outcome.success;
}

void will_write(struct frame *f, enum range what, uint64_t value) {
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
    bool there = r->size && call_readable(&f->call, MODEL); /* whether or not the profile asked */
    f->held = models_given(there ? f->call.memory + r->at : none, there ? r->size : 0);
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

/* Whether inputs and outputs can be handed over, before the model ever ran. */
static bool tensors(struct frame *f, const struct step *s) {
    const struct tensors *sides[] = {&f->facts->inputs, &f->facts->outputs};
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < sides[side]->count; i++) {
            const struct tensor *tensor = &sides[side]->items[i];
            struct text label = {0};
            text_say(&label, "%s %zu '", side ? "output" : "input", i);
            text_utf8(&label, tensor->name);
            if (tensor->rank > s->count)
                text_say(&f->reason, "%s' has %u dimensions, this host hands over at most %u", label.data, tensor->rank, s->count);
            else if (!tensor->element || tensor->element > MOST_ELEMENT)
                text_say(&f->reason, "%s' has elements of type %s, which this host cannot hand over", label.data, tensor->dtype);
            else if (tensor->by_data)
                text_say(&f->reason, "%s' has a size that is known only while the model runs", label.data);
            text_free(&label);
            if (f->reason.size)
                return fail(f, s->fail);
        }
    return true;
}

static bool prepare(struct frame *f, const struct step *s) {
    text_say(&f->reason, "the interpreter cannot prepare the model: ");
    if (!models_live(f->held, &f->live, &f->reason))
        return fail(f, s->fail);
    text_free(&f->reason);
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

bool decide(struct frame *f, const struct step *s) {
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
        return graphs_held() < host.limits.graphs ||
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
        return contexts_held() < host.limits.contexts ||
               FAIL(f, s, "the limit of %lld contexts is reached", (long long)host.limits.contexts);
    case STEP_TENSORS:
        return tensors(f, s);
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
        return drop_context(f);
    case STEP_COUNT:
        break;
    }
    return true;
}
