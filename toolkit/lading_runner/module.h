/* A run's module: read, and made into what the engine runs, by loading its compiled code or by compiling it. */
#ifndef LADING_MODULE_H
#define LADING_MODULE_H

#include "code.h"
#include "json.h"

struct module_wanted {
    const char *path;
    struct slice digest; /* sha256:HEX as somebody knows it already; empty: it is found out */
    const struct json *features;
    const char *wasmtime_version, *wasmtime_digest;
    const char *code; /* the folder of compiled code; NULL: none */
};

struct module {
    void *engine;
    void *module;
    enum code_state state;
    bool kept; /* in the folder: the code is there from now on */
    char key[2 * SHA256_BYTES + 1];
    size_t code_bytes;
};

/* Why there is none. */
struct no_module {
    enum { MODULE_UNREADABLE, MODULE_INVALID, MODULE_DOES_NOT_COMPILE } kind;
    struct text message;
    const char *remedy;
};

bool module_get(const struct module_wanted *wanted, struct module *into, struct no_module *why);

/* Whether a text is sha256: and 64 digits in lower case. */
bool is_digest(struct slice text);
/* An engine's message, in one line; the message is deleted. */
struct wt_bytes;
void say_line(struct text *to, struct wt_bytes *message);

#endif
