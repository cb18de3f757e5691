/* Compiled code of modules, kept in a folder: loaded only when it is what was written, for this very module, engine,
 * configuration and processor. Whatever is wrong with an entry, the module is compiled anew and the entry replaced. */
#ifndef LADING_CODE_H
#define LADING_CODE_H

#include "sha256.h"

/* How a module's code came about. */
enum code_state { CODE_OFF, CODE_COMPILED, CODE_LOADED };

/* What compiled code depends on, beside the processor. */
struct code_made_of {
    const char *wasmtime_version, *wasmtime_digest;
    const char *settings; /* see engine.h */
    unsigned char module[SHA256_BYTES];
};

struct code {
    const char *path; /* of the folder; NULL: nothing is kept */
    int folder;
    unsigned char key[SHA256_BYTES];
    char name[2 * SHA256_BYTES + sizeof ".cwasm"];
};

/* The entry in a folder, which is made if it is not there; code->path is NULL when it cannot be used. */
void code_begin(struct code *code, const char *folder, const struct code_made_of *made_of);
/* The module; NULL when there is none that may be loaded. */
void *code_load(const struct code *code, void *engine, size_t *bytes);
/* Keep a compiled module; false when that cannot be done. */
bool code_keep(const struct code *code, void *module, size_t *bytes);
void code_end(struct code *code);

#endif
