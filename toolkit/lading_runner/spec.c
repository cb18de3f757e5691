#include "spec.h"

#include <errno.h>
#include <unistd.h>

enum { SCHEMA = 1, DEFAULT_HANDLES = 64, DEFAULT_MODEL_BYTES = 256 << 20 };

bool read_all_of(int fd, struct text *into) {
    char piece[65536];
    for (;;) {
        ssize_t got = read(fd, piece, sizeof piece);
        if (got > 0)
            text_add(into, piece, (size_t)got);
        else if (!got)
            return true;
        else if (errno != EINTR)
            return false;
    }
}

const char *spec_read(struct spec *spec, int fd) {
    struct text document = {0};
    text_add(&document, "", 0);
    if (!read_all_of(fd, &document))
        return "the run's specification cannot be read";
    const struct json *root = json_read((struct slice){document.data, document.size});
    if (!root || root->kind != JSON_OBJECT)
        return "the run's specification is not JSON";
    if (json_integer(root, "schema", -1) != SCHEMA)
        return "the run's specification has another schema than 1: update the runner";
    if (json_first(root, "trace"))
        return "runs that tell their calls need the Python host";
    const struct json *limits = json_get(root, "limits");
    double time = json_number(limits, "time_s", -1);
    *spec = (struct spec){
        .document = root,
        .module = copied(json_text(root, "module", "")),
        .module_digest = json_text(root, "module_digest", ""),
        .personality = json_get(root, "personality"),
        .args = json_get(root, "args"),
        .env = json_get(root, "env"),
        .dirs = json_get(root, "dirs"),
        .models = json_get(root, "models"),
        .golden = json_get(root, "golden"),
        .time_ns = time < 0 ? -1 : time > 9e9 ? -1 : (int64_t)(time * 1e9),
        .memory_bytes = json_integer(limits, "memory_bytes", -1),
        .graphs = json_integer(limits, "graphs", DEFAULT_HANDLES),
        .contexts = json_integer(limits, "contexts", DEFAULT_HANDLES),
        .model_bytes = json_integer(limits, "model_bytes", DEFAULT_MODEL_BYTES),
        .threads = json_integer(root, "threads", 1),
        .backend = json_text(root, "backend", "litert"),
    };
    spec->no_backend = is(spec->backend, "none");
    if (!spec->threads) {
        long cores = sysconf(_SC_NPROCESSORS_ONLN);
        spec->threads = cores < 1 ? 1 : cores > MOST_THREADS ? MOST_THREADS : cores;
    }
    return NULL;
}
