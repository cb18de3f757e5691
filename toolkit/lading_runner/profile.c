#include "profile.h"

#include <stdlib.h>
#include <string.h>

/* The vocabulary, with the parameters that this host knows beside step and fail. */
static const struct {
    const char *name;
    bool fails;
    const char *params[2];
} STEPS[STEP_COUNT] = {
    [STEP_MEMORY] = {"memory", true, {0}},
    [STEP_READABLE] = {"readable", true, {"what"}},
    [STEP_ENCODING] = {"encoding", false, {0}},
    [STEP_TARGET] = {"target", false, {0}},
    [STEP_BUILDER_COUNT] = {"builder-count", true, {"count"}},
    [STEP_BACKEND] = {"backend", true, {0}},
    [STEP_MODEL_SIZE] = {"model-size", true, {0}},
    [STEP_GRAPH_SLOT] = {"graph-slot", true, {0}},
    [STEP_GIVEN_MODEL] = {"given-model", true, {0}},
    [STEP_CLAIM_GRAPH] = {"claim-graph", false, {0}},
    [STEP_NAMED_MODEL] = {"named-model", true, {0}},
    [STEP_NAMED_MODEL_LOADS] = {"named-model-loads", true, {0}},
    [STEP_OPERATORS] = {"operators", true, {0}},
    [STEP_GRAPH] = {"graph", true, {0}},
    [STEP_CONTEXT_SLOT] = {"context-slot", true, {0}},
    [STEP_TENSORS] = {"tensors", true, {"dimensions"}},
    [STEP_PREPARE] = {"prepare", true, {0}},
    [STEP_CLAIM_CONTEXT] = {"claim-context", false, {0}},
    [STEP_CONTEXT] = {"context", true, {0}},
    [STEP_INPUT_INDEX] = {"input-index", true, {0}},
    [STEP_INPUT_TYPE] = {"input-type", false, {0}},
    [STEP_DIMS] = {"dims", true, {"match"}},
    [STEP_DATA_LENGTH] = {"data-length", true, {0}},
    [STEP_PUT_INPUT] = {"put-input", false, {0}},
    [STEP_INVOKE] = {"invoke", true, {0}},
    [STEP_OUTPUT_INDEX] = {"output-index", true, {0}},
    [STEP_COMPUTED] = {"computed", true, {"by"}},
    [STEP_OUTPUT_TYPE] = {"output-type", false, {0}},
    [STEP_CAPACITY] = {"capacity", true, {"write", "unit"}},
    [STEP_PUT_OUTPUT] = {"put-output", false, {"unit"}},
    [STEP_STATE_TENSORS] = {"state-tensors", true, {0}},
    [STEP_INVOKE_STEP] = {"invoke-step", true, {0}},
    [STEP_RESET_STEPS] = {"reset-steps", false, {0}},
    [STEP_DROP_GRAPH] = {"drop-graph", false, {0}},
    [STEP_DROP_CONTEXT] = {"drop-context", false, {0}},
};

/* What steps find for those after them. A profile whose steps would work on nothing is refused, not followed. */
enum {
    MODEL_FOUND = 1,
    GRAPH_FOUND = 2,
    CONTEXT_FOUND = 4,
    PREPARED = 8,
    INPUT_FOUND = 16,
    OUTPUT_FOUND = 32,
    UNDER_WAY = 64, /* a transfer or an inference, which the end of the call carries out */
    EXISTING = MODEL_FOUND | GRAPH_FOUND | CONTEXT_FOUND
};

static const struct {
    int needs, never, gives, takes;
} FOUND[STEP_COUNT] = {
    [STEP_GIVEN_MODEL] = {0, EXISTING, MODEL_FOUND, 0},
    [STEP_NAMED_MODEL] = {0, EXISTING, MODEL_FOUND, 0},
    [STEP_CLAIM_GRAPH] = {MODEL_FOUND, GRAPH_FOUND, GRAPH_FOUND, 0},
    [STEP_GRAPH] = {0, EXISTING, MODEL_FOUND | GRAPH_FOUND, 0},
    [STEP_TENSORS] = {MODEL_FOUND, 0, 0, 0},
    [STEP_PREPARE] = {MODEL_FOUND, PREPARED, PREPARED, 0},
    [STEP_CLAIM_CONTEXT] = {GRAPH_FOUND | PREPARED, CONTEXT_FOUND, CONTEXT_FOUND, PREPARED},
    [STEP_CONTEXT] = {0, EXISTING, EXISTING, 0},
    [STEP_INPUT_INDEX] = {MODEL_FOUND, OUTPUT_FOUND, INPUT_FOUND, 0},
    [STEP_INPUT_TYPE] = {CONTEXT_FOUND | INPUT_FOUND, 0, UNDER_WAY, 0},
    [STEP_DIMS] = {INPUT_FOUND, 0, 0, 0},
    [STEP_DATA_LENGTH] = {INPUT_FOUND, 0, 0, 0},
    [STEP_INVOKE] = {CONTEXT_FOUND, 0, UNDER_WAY, 0},
    [STEP_OUTPUT_INDEX] = {MODEL_FOUND, INPUT_FOUND, OUTPUT_FOUND, 0},
    [STEP_COMPUTED] = {CONTEXT_FOUND, 0, 0, 0},
    [STEP_OUTPUT_TYPE] = {CONTEXT_FOUND | OUTPUT_FOUND, 0, UNDER_WAY, 0},
    [STEP_CAPACITY] = {OUTPUT_FOUND, 0, 0, 0},
    [STEP_STATE_TENSORS] = {MODEL_FOUND, 0, 0, 0},
    [STEP_INVOKE_STEP] = {CONTEXT_FOUND, 0, UNDER_WAY, 0},
    [STEP_RESET_STEPS] = {CONTEXT_FOUND, 0, UNDER_WAY, 0},
    [STEP_DROP_GRAPH] = {GRAPH_FOUND, UNDER_WAY, 0, ~0},
    [STEP_DROP_CONTEXT] = {CONTEXT_FOUND, UNDER_WAY, 0, ~0},
};

static const char *needs(const char *what, struct slice name) {
    struct text why = {0};
    text_say(&why, "this profile needs the Python host: %s '%.*s'", what, (int)name.size, name.data);
    return why.data;
}

/* How a call ends; a name that is neither of an errno nor of an end is the guest's errno 0, as in the Python host. */
static struct outcome outcome_of(const struct profile *profile, struct slice name) {
    struct outcome found = {copied(name), OUTCOME_ERRNO, is(name, "success"), 0};
    if (is(name, "trap"))
        found.kind = OUTCOME_TRAP;
    else if (is(name, "abort"))
        found.kind = OUTCOME_ABORT;
    else if (is(name, "segv"))
        found.kind = OUTCOME_SEGV;
    else
        found.number = (uint32_t)json_integer(profile->errno_table, found.name, 0);
    return found;
}

static void read_codes(struct profile *profile, struct codes *into, const char *word, const struct json *numbers, const struct json *table) {
    into->word = word;
    into->mask = (uint32_t)json_integer(table, "mask", 0xFFFFFFFF);
    into->names = need((numbers ? numbers->count : 0) * sizeof *into->names);
    for (const struct json *item = numbers ? numbers->first : NULL; item; item = item->next)
        into->names[into->count++] = (struct code_name){item->key, (uint32_t)item->integer};
    into->accept = json_get(table, "accept");
    into->special = json_get(table, "codes");
    into->unsupported = outcome_of(profile, json_text(table, "unsupported", ""));
    into->unknown = outcome_of(profile, json_text(table, "unknown", ""));
}

/* The last of several names counts, as in a dictionary. */
static const struct code_name *code_named(const struct codes *codes, uint32_t code) {
    const struct code_name *found = NULL;
    for (size_t i = 0; i < codes->count; i++)
        if (codes->names[i].code == code)
            found = &codes->names[i];
    return found;
}

static bool accepted(const struct codes *codes, uint32_t code) {
    for (const struct json *name = codes->accept ? codes->accept->first : NULL; name; name = name->next)
        for (size_t i = 0; i < codes->count; i++)
            if (codes->names[i].code == code && same(codes->names[i].name, name->text))
                return true;
    return false;
}

struct outcome codes_answer(const struct profile *profile, const struct codes *codes, uint32_t code, struct text *reason) {
    code &= codes->mask;
    const struct code_name *name = code_named(codes, code);
    struct outcome outcome = name ? codes->unsupported : codes->unknown;
    bool special = false;
    for (const struct json *item = codes->special ? codes->special->first : NULL; item; item = item->next)
        if ((uint32_t)strtoull(item->key.data, NULL, 10) == code) {
            outcome = outcome_of(profile, item->text);
            special = true;
        }
    if (!special && accepted(codes, code))
        return profile->success;
    text_say(reason, "%s %u", codes->word, code);
    if (name)
        text_say(reason, " (%.*s) is not supported", (int)name->name.size, name->name.data);
    else
        text_say(reason, " is not in the numbering");
    return outcome;
}

void say_type(struct text *to, const struct profile *profile, uint32_t code) {
    const struct code_name *name = code_named(&profile->types, code);
    if (name)
        text_say(to, "%.*s", (int)name->name.size, name->name.data);
    else
        text_say(to, "code %u", code);
}

static int truth(const struct json *object, const char *key) {
    const struct json *found = json_get(object, key);
    return !found || found->kind == JSON_NULL ? -1 : found->kind == JSON_TRUE;
}

static const char *read_rules(struct profile *profile, struct rules *into, const struct json *list, bool input) {
    into->items = need((list ? list->count : 0) * sizeof *into->items);
    for (const struct json *item = list ? list->first : NULL; item; item = item->next) {
        struct rule *rule = &into->items[into->count++];
        struct slice how = json_text(item, "how", "");
        rule->tensor = json_text(item, "tensor", "any");
        rule->guest = json_text(item, "guest", "any");
        rule->int8 = json_text(item, "int8", "");
        rule->quantized = truth(item, "quantized");
        rule->scaled = truth(item, "scaled");
        rule->held = truth(item, "held");
        if (is(how, "copy"))
            rule->how = TRANSFER_COPY;
        else if (is(how, "quantize") && input)
            rule->how = TRANSFER_QUANTIZE;
        else if (is(how, "dequantize") && !input)
            rule->how = TRANSFER_DEQUANTIZE;
        else if (is(how, "truncate") || is(how, "drop") || is(how, "zeros") || is(how, "clear"))
            return needs("tensors that pass by", how);
        else
            rule->refusal = outcome_of(profile, how);
    }
    return NULL;
}

static bool applies(const struct rule *rule, const struct tensor *tensor, struct slice int8) {
    return (is(rule->tensor, "any") || is(rule->tensor, tensor->dtype)) &&
           (rule->quantized < 0 || rule->quantized == tensor->quantized) &&
           (rule->scaled < 0 || rule->scaled == tensor->scaled) && rule->held != 0 &&
           (!rule->int8.size || same(rule->int8, int8));
}

const struct rule *input_rule(const struct profile *profile, const struct tensor *tensor, struct slice int8, uint32_t code) {
    const struct code_name *name = code_named(&profile->types, code);
    for (size_t i = 0; i < profile->inputs.count; i++) {
        const struct rule *rule = &profile->inputs.items[i];
        if (applies(rule, tensor, int8) && (is(rule->guest, "any") || (name && same(rule->guest, name->name))))
            return rule;
    }
    return NULL;
}

const struct rule *output_rule(const struct profile *profile, const struct tensor *tensor, struct slice int8) {
    for (size_t i = 0; i < profile->outputs.count; i++)
        if (applies(&profile->outputs.items[i], tensor, int8))
            return &profile->outputs.items[i];
    return NULL;
}

void say_expected(struct text *to, const struct profile *profile, const struct tensor *tensor, struct slice int8) {
    bool any = false;
    uint64_t last = 0;
    for (bool first = true;; first = false) { /* by code, from the lowest on */
        const struct code_name *next = NULL;
        for (size_t i = 0; i < profile->types.count; i++) {
            const struct code_name *name = &profile->types.names[i];
            if ((first || name->code > last) && (!next || name->code <= next->code))
                next = name;
        }
        if (!next)
            break;
        last = next->code;
        const struct rule *rule = input_rule(profile, tensor, int8, next->code);
        if (rule && rule->how != TRANSFER_NONE) {
            text_say(to, "%s%.*s", any ? " or " : "", (int)next->name.size, next->name.data);
            any = true;
        }
    }
    if (!any)
        text_say(to, "nothing that wasi-nn can name");
}

static const char *read_step(struct profile *profile, struct step *into, const struct json *item) {
    struct slice name = json_text(item, "step", "");
    int kind = 0;
    while (kind < STEP_COUNT && !is(name, STEPS[kind].name))
        kind++;
    if (kind == STEP_COUNT)
        return needs("step", name);
    for (const struct json *field = item->first; field; field = field->next) {
        bool known = is(field->key, "step") || (is(field->key, "fail") && STEPS[kind].fails);
        for (int i = 0; i < 2 && !known; i++)
            known = STEPS[kind].params[i] && is(field->key, STEPS[kind].params[i]);
        if (!known) {
            struct text both = {0};
            text_say(&both, "%.*s' with '%.*s", (int)name.size, name.data, (int)field->key.size, field->key.data);
            return needs("step", (struct slice){both.data, both.size});
        }
    }
    *into = (struct step){.kind = (enum step_kind)kind};
    if (STEPS[kind].fails)
        into->fail = outcome_of(profile, json_text(item, "fail", ""));
    if (FOUND[kind].gives && STEPS[kind].fails && into->fail.success && !(FOUND[kind].gives & UNDER_WAY))
        return needs("going on when it fails, step", name);
    into->count = (uint32_t)json_integer(item, kind == STEP_TENSORS ? "dimensions" : "count", 1);
    into->exact = is(json_text(item, "match", "exact"), "exact");
    into->by_step = is(json_text(item, "by", "compute"), "step");
    into->write_needed = is(json_text(item, "write", ""), "needed");
    struct slice unit = json_text(item, "unit", "bytes");
    if (!is(unit, "bytes"))
        return needs("sizes in", unit);
    if (kind == STEP_READABLE) {
        struct slice what = json_text(item, "what", "");
        int range = 0;
        while (range < RANGE_COUNT && !is(what, RANGES[range].name))
            range++;
        if (range == RANGE_COUNT)
            return needs("a piece of memory named", what);
        into->what = (enum range)range;
    }
    return NULL;
}

static const char *read_program(struct profile *profile, const struct json *item) {
    int function = 0;
    while (function < FUNCTION_COUNT && !is(item->key, FUNCTIONS[function].name))
        function++;
    if (function == FUNCTION_COUNT)
        return needs("function", item->key);
    struct program *program = &profile->programs[function];
    program->offered = true;
    program->count = 0; /* the last one counts, as everywhere */
    program->steps = need(item->count * sizeof *program->steps);
    int found = 0;
    for (const struct json *step = item->first; step; step = step->next) {
        const char *why = read_step(profile, &program->steps[program->count], step);
        if (why)
            return why;
        enum step_kind kind = program->steps[program->count++].kind;
        if ((found & FOUND[kind].needs) != FOUND[kind].needs || found & FOUND[kind].never)
            return needs("steps in another order: in that place it has no", slice_of(STEPS[kind].name));
        found = (found & ~FOUND[kind].takes) | FOUND[kind].gives;
    }
    return NULL;
}

const char *profile_read(struct profile *profile, const struct json *document, bool no_backend) {
    const struct json *abi = json_get(document, "abi"), *link = json_get(document, "link");
    const struct json *statuses = json_get(document, "statuses"), *limits = json_get(document, "limits");
    const struct json *tensors = json_get(document, "tensors"), *functions = json_get(document, "functions");
    *profile = (struct profile){.id = json_text(document, "id", "")};
    if (json_integer(document, "schema", 1) != 1)
        return needs("schema", json_text(document, "schema", "?"));
    if (!functions || !functions->first)
        return needs("no core modules are hosted by", profile->id);
    struct slice layout = json_text(abi, "layout", "");
    if (!is(layout, "witx"))
        return needs("layout", layout);
    profile->errno_table = json_get(abi, "errno");
    profile->success = outcome_of(profile, SLICE("success"));
    struct slice backend = json_text(document, "backend", "none");
    profile->backend = !no_backend && !is(backend, "none");
    if (profile->backend && !is(backend, "litert"))
        return needs("backend", backend);
    profile->operators = json_get(document, "operators");
    profile->modules = json_get(abi, "modules");
    profile->wasi_modules = json_get(link, "wasi");
    profile->features = json_get(json_get(document, "wasm"), "features");
    profile->unknown_import_traps = !is(json_text(link, "unknown_import", "refuse"), "refuse");
    read_codes(profile, &profile->encodings, "encoding", json_get(abi, "encodings"), json_get(document, "encodings"));
    read_codes(profile, &profile->targets, "target", json_get(abi, "targets"), json_get(document, "targets"));
    read_codes(profile, &profile->types, "type", json_get(abi, "tensor_types"), NULL);
    profile->input_otherwise = outcome_of(profile, json_text(tensors, "otherwise", "invalid_argument"));
    profile->status_trap = (int)json_integer(statuses, "trap", 134);
    profile->status_invalid_module = (int)json_integer(statuses, "invalid_module", 126);
    profile->status_not_loadable = (int)json_integer(statuses, "not_loadable", 126);
    profile->status_link_error = (int)json_integer(statuses, "link_error", 126);
    profile->status_abort = (int)json_integer(statuses, "abort", 134);
    profile->status_segv = (int)json_integer(statuses, "segv", 139);
    profile->graphs = json_integer(limits, "graphs", -1);
    profile->contexts = json_integer(limits, "contexts", -1);
    profile->model_bytes = json_integer(limits, "model_bytes", -1);
    const char *why = read_rules(profile, &profile->inputs, json_get(tensors, "input"), true);
    if (!why)
        why = read_rules(profile, &profile->outputs, json_get(tensors, "output"), false);
    for (const struct json *item = functions->first; item && !why; item = item->next)
        why = read_program(profile, item);
    if (no_backend && is(json_text(link, "without_backend", "calls-fail"), "unlinked"))
        for (int i = 0; i < FUNCTION_COUNT; i++)
            profile->programs[i].offered = false;
    return why;
}
