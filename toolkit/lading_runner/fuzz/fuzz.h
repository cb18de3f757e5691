/* The fuzzer: feeds the runner's own code, built with sanitizers, what no guest, model or agent should send.
 *
 * One process keeps the engines loaded and forks a child that tries inputs one after the other; after each, the
 * program's variables are put back as they were. What is tried next is led by the code that earlier inputs reached.
 * An input is a string of bytes; what it means is the target's business, and the same bytes do the same again.
 */
#ifndef LADING_FUZZ_H
#define LADING_FUZZ_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../text.h"

enum { MOST_INPUT = 1 << 16, MOST_FILES = 256 };

/* An input as a row of decisions; an input that is at an end decides for nothing. */
struct stream {
    const unsigned char *at;
    size_t left;
};

uint32_t take_u8(struct stream *s);
uint32_t take_u32(struct stream *s);
uint32_t take_below(struct stream *s, uint32_t bound);
/* Small ones, borders, and any. */
uint32_t take_number(struct stream *s, uint32_t near);

struct file_bytes {
    char *name;
    unsigned char *data;
    size_t size;
};

struct folder {
    struct file_bytes files[MOST_FILES];
    size_t count;
};

void folder_read(struct folder *into, const char *path, const char *suffix);
struct file_bytes file_read(const char *path);

struct setup {
    const char *wasmtime, *wasmtime_version, *wasmtime_digest, *litert, *litert_version;
    struct folder models, modules, profiles;
    struct file_bytes named; /* the run's models, as a spec has them */
};

extern struct setup setup;

/* A target: what is made of an input, and with what it begins. */
struct target {
    const char *name;
    void (*prepare)(void);           /* before anything is tried; may be NULL */
    void (*try_input)(const unsigned char *data, size_t size);
    size_t (*seed)(size_t number, unsigned char *into); /* the number-th input to begin with; 0: there is none */
    bool text;                       /* mutated by words, too */
    int share;                       /* of the time, in hundredths */
};

extern const struct target TARGET_CALLS, TARGET_MODELS, TARGET_DOCUMENTS, TARGET_RUNS;

/* Say what is wrong and end this process as a crash does. */
_Noreturn void broken(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Run the body; an end of the run comes back here instead of ending the process. */
#define UNTIL_THE_RUN_ENDS if (!setjmp(*run_end_armed()))
jmp_buf *run_end_armed(void);
void run_end_disarm(void);

/* Random numbers and changes of inputs. */
uint32_t random_below(uint64_t *state, uint32_t bound);
size_t mutate(uint64_t *random, unsigned char *data, size_t size, const unsigned char *other, size_t other_size, bool text);

/* Which process a report is of, when it is not the one that tries the inputs. */
void told_of(int pid);

#endif
