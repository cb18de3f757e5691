/* Whole runs, each in a process of its own: the program's main with modules, models, streams and arguments of any kind. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../json.h"
#include "fuzz.h"

int runner_main(int argc, char **argv);

#define CODE "code"

enum { MOST_MS = 30000, MOST_REPORT = 1 << 22 };

static int file_of(const void *data, size_t size) {
    int fd = memfd_create("fuzz", 0);
    if (fd < 0 || (size && write(fd, data, size) != (ssize_t)size) || lseek(fd, 0, SEEK_SET))
        broken("no file in memory");
    return fd;
}

/* A file of the folder, changed here and there, in memory. */
static int changed(struct stream *in, const struct folder *folder) {
    const struct file_bytes *file = &folder->files[take_below(in, (uint32_t)folder->count)];
    static unsigned char data[MOST_INPUT * 2];
    uint32_t how = take_u8(in);
    size_t size = file->size < sizeof data ? file->size : sizeof data;
    memcpy(data, file->data, size);
    if (how > 60 && size)
        for (uint32_t i = 0; i < how % 12; i++) {
            size_t at = take_u32(in) % size;
            /* Mostly near the beginning: there are types, imports and headers, later only code and weights. */
            at = take_u8(in) < 170 && size > 512 ? at % 512 : at;
            data[at] = take_u8(in) & 1 ? data[at] ^ (unsigned char)(1u << take_u8(in) % 8) : (unsigned char)take_u8(in);
        }
    if (how > 248)
        size = take_u32(in) % (size + 1);
    return file_of(data, size);
}

/* What the guest that does as it is told reads: how many calls, and the calls. */
static int told(struct stream *in) {
    uint32_t image[2 + 6 * 24] = {take_below(in, 25)};
    for (uint32_t i = 0; i < image[0]; i++) {
        image[2 + 6 * i] = take_below(in, 14);
        for (int a = 1; a < 6; a++)
            image[2 + 6 * i + a] = take_number(in, 524288);
    }
    return file_of(image, sizeof image);
}

static void number(struct stream *in, struct text *to, const char *key, const char *usual) {
    text_say(to, ",\"%s\":", key);
    if (take_u8(in) < 200)
        text_say(to, "%s", usual);
    else
        text_say(to, "%lld", (long long)(int32_t)take_number(in, 65536));
}

static int make_spec(struct stream *in, int module, int model) {
    static const char *const policies[] = {"as-u8", "quantize-f32", "x"}, *const encodings[] = {"tensorflowlite", "onnx", ""};
    const struct file_bytes *profile = &setup.profiles.files[take_below(in, 3) ? 0 : take_below(in, (uint32_t)setup.profiles.count)];
    struct text spec = {0};
    text_say(&spec, "{\"schema\":1,\"module\":\"");
    if (module >= 0)
        text_say(&spec, "/proc/self/fd/%d", module);
    text_say(&spec, "\",\"personality\":%.*s,\"args\":[\"L:f=@garbage:10\",\"I:g=0\"],\"env\":{\"A\":\"b\"},\"dirs\":[]", (int)profile->size,
             (const char *)profile->data);
    text_say(&spec, ",\"models\":[{\"name\":\"m\",\"path\":\"/proc/self/fd/%d\",\"version\":\"1.0.0\",\"encoding\":\"%s\",", model,
             encodings[take_u8(in) > 240 ? take_below(in, 3) : 0]);
    text_say(&spec, "\"target\":\"cpu\",\"int8\":\"%s\",\"state\":{%s}}]", policies[take_below(in, 3)],
             take_u8(in) > 200 ? "\"output_0\":\"x\"" : "");
    text_say(&spec, ",\"limits\":{\"time_s\":0.3,\"output_bytes\":1000000");
    number(in, &spec, "memory_bytes", "67108864");
    number(in, &spec, "graphs", "64");
    number(in, &spec, "contexts", "64");
    number(in, &spec, "model_bytes", "1000000");
    text_say(&spec, "}");
    text_say(&spec, ",\"threads\":%d,\"backend\":\"%s\",\"names_dir\":\"\",\"trace\":{},\"golden\":[", (int)take_below(in, 4) - 1,
             take_u8(in) < 240 ? "litert" : "none");
    if (module < 0 || take_u8(in) > 240) {
        int input = file_of("\0\0\200?\0\0\0@\0\0@@\0\0\200@", take_u8(in) < 200 ? 16 : 3);
        text_say(&spec, "{\"model\":\"m\",\"tolerance\":%d,\"atol\":0.1,\"rtol\":0.1,\"outputs\":[{\"tensor\":\"output_0\",", (int)take_below(in, 3));
        text_say(&spec, "\"dtype\":\"float32\",\"shape\":[1,%u],\"path\":\"/proc/self/fd/%d\"}],", take_number(in, 4), input);
        text_say(&spec, "\"inputs\":[{\"tensor\":\"keras_tensor\",\"dtype\":\"%s\",\"shape\":[1,4],\"path\":\"/proc/self/fd/%d\"}]}",
                 take_u8(in) < 200 ? "float32" : "int8", input);
    }
    text_say(&spec, "]}");
    return file_of(spec.data, spec.size);
}

/* Change a file of kept code: it must never be loaded then. */
static void damage(struct stream *in) {
    struct dirent **entries;
    int count = scandir(CODE, &entries, NULL, alphasort), chosen = count > 2 ? 2 + (int)take_below(in, (uint32_t)count - 2) : -1;
    for (int i = 0; i < count; i++) {
        struct text path = {0};
        unsigned char byte;
        text_say(&path, CODE "/%s", entries[i]->d_name);
        int fd = i == chosen ? open(path.data, O_RDWR | O_CLOEXEC) : -1;
        off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END), at = size ? (off_t)(take_u32(in) % (uint32_t)size) : 0;
        if (size && pread(fd, &byte, 1, at) == 1 && pwrite(fd, &(unsigned char){byte ^ (unsigned char)(1u << take_u8(in) % 8)}, 1, at) != 1)
            broken("kept code cannot be changed");
        if (size && take_u8(in) > 230 && ftruncate(fd, at))
            broken("kept code cannot be cut");
        if (fd >= 0)
            close(fd);
        text_free(&path);
        free(entries[i]);
    }
    free(entries);
}

static _Noreturn void run(struct stream *in, int report, int log) {
    int module = take_u8(in) < 225 ? changed(in, &setup.modules) : -1, model = changed(in, &setup.models);
    int input = told(in), nowhere = memfd_create("output", 0), spec = make_spec(in, module, model);
    static char descriptors[3][16];
    for (int i = 0; i < 3; i++) {
        struct text text = {0};
        text_say(&text, "%d", i == 0 ? spec : i == 1 ? report : log);
        memcpy(descriptors[i], text.data, text.size + 1);
    }
    dup2(input, 0);
    dup2(nowhere, 1);
    dup2(nowhere, 2);
    char *argv[] = {(char *)"lading-runner", (char *)"run",
                    (char *)"--wasmtime", (char *)setup.wasmtime, (char *)"--wasmtime-version", (char *)setup.wasmtime_version,
                    (char *)"--litert", (char *)setup.litert, (char *)"--litert-version", (char *)setup.litert_version,
                    (char *)"--spec", descriptors[0], (char *)"--report", descriptors[1], (char *)"--log", descriptors[2],
                    (char *)"--code", (char *)CODE, (char *)"--wasmtime-digest", (char *)setup.wasmtime_digest, NULL};
    int count = (int)(sizeof argv / sizeof *argv) - 1;
    if (take_u8(in) & 1) /* without the last four: code is not kept */
        count -= 4;
    else if (take_u8(in) < 128)
        damage(in);
    if (take_u8(in) > 250)
        count -= (int)take_below(in, 6);
    exit(runner_main(count, argv));
}

/* Every line is JSON, and the last one says how the run ended, as the process did. */
static void look(int report, int status, bool used_wrongly) {
    char *text = malloc(MOST_REPORT);
    ssize_t size = pread(report, text, MOST_REPORT, 0);
    struct slice rest = {text, size > 0 ? (size_t)size : 0};
    const struct json *last = NULL;
    while (rest.size) {
        const char *end = memchr(rest.data, '\n', rest.size);
        if (!end)
            broken("the report's last line has no end");
        last = json_read((struct slice){rest.data, (size_t)(end - rest.data)});
        if (!last)
            broken("a line of the report is not JSON");
        rest.size -= (size_t)(end + 1 - rest.data);
        rest.data = end + 1;
    }
    free(text);
    if (used_wrongly)
        return;
    if (!last || !is(json_text(last, "event", ""), "end"))
        broken("the run ended with status %d and did not say how", status);
    if ((json_integer(last, "status", -1) & 255) != status)
        broken("the run ended with status %d and said %lld", status, (long long)json_integer(last, "status", -1));
}

/* What the run's own log says goes to ours: a sanitizer may have written there. */
static void hand_on(int log) {
    static char piece[16384];
    off_t size = lseek(log, 0, SEEK_END);
    ssize_t got = pread(log, piece, sizeof piece, size > (off_t)sizeof piece ? size - (off_t)sizeof piece : 0);
    if (got > 0 && write(2, piece, (size_t)got) != got)
        broken("no log");
}

static void try_run(const unsigned char *data, size_t size) {
    int report = memfd_create("report", 0), log = memfd_create("log", 0);
    pid_t child = fork();
    if (!child) {
        struct stream in = {data, size};
        run(&in, report, log);
    }
    if (child < 0 || report < 0)
        broken("no process for a run");
    struct pollfd ends = {.fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN};
    bool over = poll(&ends, 1, MOST_MS) == 1;
    if (!over)
        kill(child, SIGABRT); /* its last report says where it hangs */
    if (!over && poll(&ends, 1, MOST_MS) != 1)
        kill(child, SIGKILL);
    int status = 0;
    waitpid(child, &status, 0);
    close(ends.fd);
    told_of((int)child);
    if (!over || WIFSIGNALED(status) || WEXITSTATUS(status) >= 97)
        hand_on(log);
    if (!over)
        broken("the run hangs");
    if (WIFSIGNALED(status))
        broken("the run was ended by signal %d", WTERMSIG(status));
    if (WEXITSTATUS(status) == 99)
        _exit(99); /* a sanitizer's report is there */
    look(report, WEXITSTATUS(status), WEXITSTATUS(status) == 2);
    told_of(0);
    close(report);
    close(log);
}

static void make_folder(void) {
    if (mkdir(CODE, 0700) && errno != EEXIST)
        broken("no folder for code");
}

static size_t seed_run(size_t number, unsigned char *into) {
    if (number >= 64)
        return 0;
    uint64_t random = number + 1000;
    size_t size = 16 + random_below(&random, 200);
    for (size_t i = 0; i < size; i++)
        into[i] = (unsigned char)random_below(&random, 256);
    into[0] = 0;
    into[1] = (unsigned char)number; /* every module once */
    into[2] = number % 2 ? 0 : into[2];
    return size;
}

const struct target TARGET_RUNS = {"runs", make_folder, try_run, seed_run, false, 15};
