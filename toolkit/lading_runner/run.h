/* One run: its end, its report, its phase, its figures, and what the interpreter says meanwhile.
 *
 * There is one run in a process, and whoever finds out that it is over ends it where it stands: run_ends never returns.
 */
#ifndef LADING_RUN_H
#define LADING_RUN_H

#include "text.h"

enum phase { PHASE_START, PHASE_GUEST, PHASE_LOAD, PHASE_INIT, PHASE_SET_INPUT, PHASE_COMPUTE, PHASE_GET_OUTPUT, PHASE_GOLDEN, PHASE_END };

/* The byte that tells whoever kills a runner what it was doing; writing it is all that a change of phase takes. */
extern volatile unsigned char *run_phase;

/* Where the guest's standard error goes: descriptor 2 is the interpreter's. */
extern int run_guest_stderr;

/* Descriptors; -1 for one that was not given. */
void run_begins(int report, int phase, int log);

_Noreturn void run_ends(const char *outcome, int status, const char *kind, const char *message, const char *remedy);
_Noreturn void run_is_out_of_memory(void);

/* An event: begin, add fields (each begins with a comma), send. */
struct text event(const char *name);
void event_text(struct text *event, const char *key, struct slice utf8);
void event_send(struct text *event);

/* A line of the host's log; after a thousand only a last word, so that a guest cannot flood anybody. */
void run_log(const char *level, struct slice text);
/* Hand new lines of the interpreter's standard error to the report. */
void run_drain(void);
/* Whether the interpreter's standard error has these words since the mark (an offset from run_log_size). */
int64_t run_log_size(void);
/* Where the lines begin that have not been handed over yet. */
int64_t run_drained(void);
bool run_log_has(int64_t since, const char *words);
/* The first line that looks like an error since then, without its prefix; empty when there is none. */
void run_log_error(struct text *to, int64_t since);

int64_t now_ns(void);

struct figures {
    int64_t load_ns;
    int64_t init_ns;
    int64_t first_ns;
    int64_t calls;
    int64_t inferences;
    int64_t *samples;
    size_t count;
    const char *code; /* how the module's code came about: loaded, compiled or off */
};

extern struct figures figures;

void figures_inference(int64_t ns);
/* From now on the end of the run is preceded by its figures; `runtime` names host and engines. */
void figures_tell(const char *runtime);

#endif
