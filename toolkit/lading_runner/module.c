#include "module.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine.h"
#include "spec.h"
#include "wasmtime.h"

enum { MOST_MESSAGE = 500, LARGE = 1 << 20 };

static const char PREFIX[] = "sha256:";

static int digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static bool read_digest(struct slice text, unsigned char digest[SHA256_BYTES]) {
    size_t prefix = sizeof PREFIX - 1;
    if (text.size != prefix + 2 * SHA256_BYTES || memcmp(text.data, PREFIX, prefix))
        return false;
    for (size_t i = 0; i < SHA256_BYTES; i++) {
        int high = digit(text.data[prefix + 2 * i]), low = digit(text.data[prefix + 2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        digest[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

bool is_digest(struct slice text) {
    unsigned char digest[SHA256_BYTES];
    return read_digest(text, digest);
}

void say_line(struct text *to, struct wt_bytes *message) {
    struct text line = {0};
    bool gap = false;
    for (size_t i = 0; i < message->size && message->data[i]; i++) {
        if (strchr(" \t\r\n\v\f", message->data[i])) {
            gap = line.size > 0;
            continue;
        }
        if (gap)
            text_add(&line, " ", 1);
        gap = false;
        text_add(&line, message->data + i, 1);
    }
    text_add(to, line.data, first_characters((struct slice){line.data, line.size}, MOST_MESSAGE));
    text_free(&line);
    wt.wasm_byte_vec_delete(message);
}

static bool refuse(struct no_module *why, int kind, const char *message, const char *remedy) {
    why->kind = kind;
    why->remedy = remedy;
    if (message)
        text_say(&why->message, "%s", message);
    return false;
}

static bool unreadable(const char *path, struct no_module *why) {
    text_say(&why->message, "the module cannot be read: [Errno %d] %s: ", errno, strerror(errno));
    text_quoted(&why->message, slice_of(path));
    return refuse(why, MODULE_UNREADABLE, NULL, "");
}

static bool looks_like_a_module(const struct text *data, struct no_module *why) {
    if (data->size >= 8 && !memcmp(data->data, "\0asm\x0d\0\x01\0", 8))
        return refuse(why, MODULE_UNREADABLE, "this is a WebAssembly component; this host runs core modules that import wasi_ephemeral_nn",
                      "build the guest for wasm32-wasip1 (a core module)");
    if (data->size >= 8 && !memcmp(data->data, "\0asm\x01\0\0\0", 8))
        return true;
    bool other = data->size >= 4 && !memcmp(data->data, "\0asm", 4);
    return refuse(why, MODULE_INVALID,
                  other ? "the file is a WebAssembly module of another version" : "the file is not a WebAssembly module",
                  "give a .wasm file");
}

/* The module's bytes, when they are needed, and their digest. */
static bool read_module(const struct module_wanted *wanted, int fd, struct text *data, unsigned char digest[SHA256_BYTES],
                        struct no_module *why) {
    unsigned char given[SHA256_BYTES];
    if (!read_all_of(fd, data))
        return unreadable(wanted->path, why);
    if (!looks_like_a_module(data, why))
        return false;
    sha256(data->data, data->size, digest);
    if (!wanted->digest.size || (read_digest(wanted->digest, given) && !memcmp(given, digest, SHA256_BYTES)))
        return true;
    return refuse(why, MODULE_UNREADABLE, "the module is not the one that its digest names: the file is damaged", "install the release again");
}

static bool compile(struct module *into, const struct text *data, struct no_module *why) {
    void *error = wt.wasmtime_module_new(into->engine, (const uint8_t *)data->data, data->size, &into->module);
    if (!error)
        return true;
    struct wt_bytes message;
    wt.wasmtime_error_message(error, &message);
    say_line(&why->message, &message);
    return refuse(why, MODULE_DOES_NOT_COMPILE, NULL, "build it without the feature named, or is the file damaged?");
}

bool module_get(const struct module_wanted *wanted, struct module *into, struct no_module *why) {
    struct code_made_of made_of = {.wasmtime_version = wanted->wasmtime_version, .wasmtime_digest = wanted->wasmtime_digest};
    struct text settings = {0}, data = {0}, key = {0};
    struct stat about;
    struct code code;
    int fd = open(wanted->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about))
        return unreadable(wanted->path, why);
    *into = (struct module){.engine = engine_new(wanted->features, about.st_size >= LARGE, &settings)};
    made_of.settings = settings.data;
    bool known = wanted->code && read_digest(wanted->digest, made_of.module), good = true;
    if (!known)
        good = read_module(wanted, fd, &data, made_of.module, why);
    if (good) {
        code_begin(&code, wanted->code, &made_of);
        text_hex(&key, code.key);
        memcpy(into->key, key.data, sizeof into->key);
        into->module = code_load(&code, into->engine, &into->code_bytes);
        into->state = into->module ? CODE_LOADED : CODE_OFF;
        into->kept = into->module != NULL;
        if (!into->module)
            good = (!known || read_module(wanted, fd, &data, made_of.module, why)) && compile(into, &data, why);
        if (good && !into->kept && code_keep(&code, into->module, &into->code_bytes)) {
            into->state = CODE_COMPILED;
            into->kept = true;
        }
        code_end(&code);
    }
    close(fd);
    text_free(&settings);
    text_free(&data);
    text_free(&key);
    return good;
}
