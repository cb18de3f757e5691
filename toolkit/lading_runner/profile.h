/* A resolved firmware profile, compiled: tables, and for each function a list of steps that decide a call.
 *
 * The steps are those of lading_agent/nn/rules*.py, as far as this host knows them; a profile that needs another one is
 * refused by name.
 */
#ifndef LADING_PROFILE_H
#define LADING_PROFILE_H

#include "call.h"
#include "facts.h"
#include "json.h"

/* What a call can end with: an errno, or the end of the run. */
enum outcome_kind { OUTCOME_ERRNO, OUTCOME_TRAP, OUTCOME_ABORT, OUTCOME_SEGV };

struct outcome {
    const char *name; /* NULL: not given */
    enum outcome_kind kind;
    bool success;
    uint32_t number;
};

enum step_kind {
    STEP_MEMORY,
    STEP_READABLE,
    STEP_ENCODING,
    STEP_TARGET,
    STEP_BUILDER_COUNT,
    STEP_BACKEND,
    STEP_MODEL_SIZE,
    STEP_GRAPH_SLOT,
    STEP_GIVEN_MODEL,
    STEP_CLAIM_GRAPH,
    STEP_NAMED_MODEL,
    STEP_NAMED_MODEL_LOADS,
    STEP_OPERATORS,
    STEP_GRAPH,
    STEP_CONTEXT_SLOT,
    STEP_TENSORS,
    STEP_PREPARE,
    STEP_CLAIM_CONTEXT,
    STEP_CONTEXT,
    STEP_INPUT_INDEX,
    STEP_INPUT_TYPE,
    STEP_DIMS,
    STEP_DATA_LENGTH,
    STEP_PUT_INPUT,
    STEP_INVOKE,
    STEP_OUTPUT_INDEX,
    STEP_COMPUTED,
    STEP_OUTPUT_TYPE,
    STEP_CAPACITY,
    STEP_PUT_OUTPUT,
    STEP_STATE_TENSORS,
    STEP_INVOKE_STEP,
    STEP_RESET_STEPS,
    STEP_DROP_GRAPH,
    STEP_DROP_CONTEXT,
    STEP_COUNT
};

struct step {
    enum step_kind kind;
    struct outcome fail;
    enum range what;   /* readable */
    uint32_t count;    /* builder-count; dimensions of tensors */
    bool exact;        /* dims: the same dimensions, not only as many elements */
    bool by_step;      /* computed: by compute_single */
    bool write_needed; /* capacity */
};

struct program {
    bool offered;
    struct step *steps;
    size_t count;
};

/* How tensor bytes pass. */
enum transfer_kind { TRANSFER_NONE, TRANSFER_COPY, TRANSFER_QUANTIZE, TRANSFER_DEQUANTIZE };

struct rule {
    struct slice tensor; /* a dtype, or any */
    struct slice guest;  /* a type's name, or any */
    struct slice int8;   /* a policy; empty: any */
    int quantized;       /* -1: either */
    int scaled;
    int held;
    enum transfer_kind how;
    struct outcome refusal; /* when it is none */
};

struct rules {
    struct rule *items;
    size_t count;
};

struct code_name {
    struct slice name;
    uint32_t code;
};

struct codes {
    const char *word;
    uint32_t mask;
    struct code_name *names;
    size_t count;
    const struct json *accept;
    const struct json *special;
    struct outcome unsupported;
    struct outcome unknown;
};

struct profile {
    struct slice id;
    bool backend;
    const struct json *modules;
    const struct json *wasi_modules;
    const struct json *operators; /* code to the highest version that the interpreter has; none: not asked */
    const struct json *features; /* of wasm: name to true or false */
    bool unknown_import_traps;
    struct program programs[FUNCTION_COUNT];
    struct codes encodings;
    struct codes targets;
    struct codes types;
    struct rules inputs;
    struct rules outputs;
    struct outcome input_otherwise;
    struct outcome success;
    int status_trap, status_invalid_module, status_not_loadable, status_link_error, status_abort, status_segv;
    int64_t graphs, contexts, model_bytes; /* limits of the firmware itself; -1: none */
    const struct json *errno_table;
};

/* NULL when all is understood, or why this profile needs another host. `no_backend`: whatever the profile says. */
const char *profile_read(struct profile *profile, const struct json *document, bool no_backend);

/* What a host answers to a number; success, or the outcome with its reason. */
struct outcome codes_answer(const struct profile *profile, const struct codes *codes, uint32_t code, struct text *reason);
/* The name of a tensor type code, or "code N". */
void say_type(struct text *to, const struct profile *profile, uint32_t code);
const struct rule *input_rule(const struct profile *profile, const struct tensor *tensor, struct slice int8, uint32_t code);
const struct rule *output_rule(const struct profile *profile, const struct tensor *tensor, struct slice int8);
/* What the host takes for one input, in words. */
void say_expected(struct text *to, const struct profile *profile, const struct tensor *tensor, struct slice int8);

#endif
