#include "code.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cpu.h"
#include "run.h"
#include "wasmtime.h"

/* Raised with every change of an entry's form, or of how this program sets the engine up that `settings` do not tell. */
enum { FORMAT = 1 };

enum { MOST_CODE = 1 << 30, STALE_S = 600 };

/* What stands before the code, which begins at a multiple of 64 that way; all of it is compared. */
struct header {
    char magic[8];
    uint32_t format;
    uint32_t unused;
    uint64_t size;
    unsigned char key[SHA256_BYTES];
    unsigned char digest[SHA256_BYTES];
    unsigned char room[40];
};

_Static_assert(sizeof(struct header) == 128, "the header has 128 bytes");

static struct header header_of(const struct code *code, const void *data, size_t size) {
    struct header header = {.magic = "LADCODE", .format = FORMAT, .size = size};
    memcpy(header.key, code->key, sizeof header.key);
    if (data)
        sha256(data, size, header.digest);
    return header;
}

static void warn(const struct code *code, const char *what, const char *why) {
    struct text line = {0};
    text_say(&line, "compiled code %s/%s %s: %s", code->path, code->name, what, why);
    run_log("warning", (struct slice){line.data, line.size});
    text_free(&line);
}

static const char *not_ours(const struct stat *about) {
    if (about->st_uid != geteuid())
        return "it belongs to another user";
    return about->st_mode & (S_IWGRP | S_IWOTH) ? "others may write to it" : NULL;
}

void code_begin(struct code *code, const char *folder, const struct code_made_of *made_of) {
    struct text key = {0}, name = {0};
    struct stat about;
    *code = (struct code){.path = folder, .folder = -1};
    if (!folder)
        return;
    text_say(&key, "lading compiled code %d\nwasmtime %s %s\nsettings%s\ncpu ", FORMAT, made_of->wasmtime_version,
             made_of->wasmtime_digest, made_of->settings);
    say_cpu(&key);
    text_say(&key, "\nmodule ");
    text_hex(&key, made_of->module);
    sha256(key.data, key.size, code->key);
    text_hex(&name, code->key);
    snprintf(code->name, sizeof code->name, "%s.cwasm", name.data);
    text_free(&key);
    text_free(&name);
    code->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (code->folder < 0 && errno == ENOENT && !mkdir(folder, 0700))
        code->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const char *why = code->folder < 0 || fstat(code->folder, &about) ? strerror(errno) : not_ours(&about);
    if (!why)
        return;
    warn(code, "is not used", why);
    code_end(code);
}

void code_end(struct code *code) {
    if (code->folder >= 0)
        close(code->folder);
    code->folder = -1;
    code->path = NULL;
}

static bool read_exactly(int fd, void *into, size_t size, off_t at) {
    for (size_t done = 0; done < size;) {
        ssize_t got = pread(fd, (char *)into + done, size - done, at + (off_t)done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        done += (size_t)got;
    }
    return true;
}

/* NULL and the code in memory of our own, or what is wrong with the entry. */
static const char *read_entry(const struct code *code, int fd, void **data, size_t *size) {
    struct stat about;
    struct header found, wanted;
    if (fstat(fd, &about))
        return strerror(errno);
    if (!S_ISREG(about.st_mode))
        return "it is not a regular file";
    const char *why = not_ours(&about);
    if (why)
        return why;
    if (about.st_size <= (off_t)sizeof found || about.st_size > MOST_CODE)
        return "it has an impossible size";
    *size = (size_t)about.st_size - sizeof found;
    if (!read_exactly(fd, &found, sizeof found, 0))
        return "it cannot be read";
    wanted = header_of(code, NULL, *size);
    memcpy(wanted.digest, found.digest, sizeof found.digest);
    if (memcmp(&found, &wanted, sizeof found))
        return "its header is not the one that belongs to this module, engine and processor";
    void *memory = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return "there is no memory to read it";
    bool good = read_exactly(fd, memory, *size, sizeof found);
    wanted = header_of(code, memory, *size);
    if (good && !memcmp(&found, &wanted, sizeof found)) {
        *data = memory;
        return NULL;
    }
    munmap(memory, *size);
    return "its bytes are not those that were written";
}

void *code_load(const struct code *code, void *engine, size_t *bytes) {
    if (!code->path)
        return NULL;
    int fd = openat(code->folder, code->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    void *data = NULL, *module = NULL;
    size_t size = 0;
    const char *why = fd >= 0 ? read_entry(code, fd, &data, &size) : errno == ELOOP ? "it is a symbolic link" : strerror(errno);
    if (fd >= 0)
        close(fd);
    if (!why) {
        void *error = wt.wasmtime_module_deserialize(engine, data, size, &module);
        munmap(data, size);
        *bytes = size;
        if (!error)
            return module;
        struct wt_bytes message;
        wt.wasmtime_error_message(error, &message);
        wt.wasmtime_error_delete(error);
        why = copied((struct slice){message.data, message.size});
        wt.wasm_byte_vec_delete(&message);
    }
    warn(code, "is not loaded, the module is compiled anew", why);
    return NULL;
}

static bool write_all(int fd, const void *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t written = write(fd, (const char *)data + done, size - done);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        done += (size_t)written;
    }
    return true;
}

/* A file of a name that only one process at a time writes to; one that a killed process left is taken away. */
static int new_file(const struct code *code, const char *name) {
    int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(code->folder, name, flags, 0600);
    if (fd >= 0 || errno != EEXIST)
        return fd;
    struct stat about;
    time_t now = time(NULL);
    bool stale = !fstatat(code->folder, name, &about, AT_SYMLINK_NOFOLLOW) &&
                 (about.st_mtime > now || now - about.st_mtime > STALE_S || !S_ISREG(about.st_mode));
    if (!stale) {
        errno = EEXIST;
        return -1;
    }
    if (unlinkat(code->folder, name, 0))
        unlinkat(code->folder, name, AT_REMOVEDIR);
    return openat(code->folder, name, flags, 0600);
}

static bool put_in_place(const struct code *code, const char *name) {
    if (!renameat(code->folder, name, code->folder, code->name))
        return true;
    return (errno == EISDIR || errno == ENOTEMPTY || errno == EEXIST) && !unlinkat(code->folder, code->name, AT_REMOVEDIR) &&
           !renameat(code->folder, name, code->folder, code->name);
}

bool code_keep(const struct code *code, void *module, size_t *bytes) {
    struct wt_bytes data;
    char name[sizeof code->name + 4];
    if (!code->path)
        return false;
    void *error = wt.wasmtime_module_serialize(module, &data);
    if (error) {
        wt.wasmtime_error_delete(error);
        return false;
    }
    *bytes = data.size;
    snprintf(name, sizeof name, ".%s", code->name);
    int fd = new_file(code, name);
    bool kept = fd < 0 && errno == EEXIST; /* by another runner, at this moment */
    if (fd >= 0) {
        struct header header = header_of(code, data.data, data.size);
        kept = write_all(fd, &header, sizeof header) && write_all(fd, data.data, data.size) && !fsync(fd) && put_in_place(code, name) &&
               !fsync(code->folder);
        int why = errno;
        close(fd);
        if (!kept)
            unlinkat(code->folder, name, 0);
        errno = why;
    }
    if (!kept)
        warn(code, "cannot be kept", strerror(errno));
    wt.wasm_byte_vec_delete(&data);
    return kept;
}
