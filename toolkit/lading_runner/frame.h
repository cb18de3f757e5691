/* One wasi-nn call under decision, and what the host holds between calls: shared by nn.c, decide.c and handles.c. */
#ifndef LADING_FRAME_H
#define LADING_FRAME_H

#include "models.h"
#include "nn.h"

struct graph {
    uint32_t handle;
    struct held *held;
};

struct context {
    uint32_t handle;
    struct graph *graph;
    struct live live;
    bool computed; /* compute has succeeded at least once */
    bool stepped;  /* compute_single has run since the context began or fini_single ended a stream */
};

struct host {
    const struct profile *profile;
    struct nn_limits limits;
};

extern struct host host;

enum action { NOTHING, INVOKE, STEP, RESET };

struct transfer {
    enum transfer_kind how;
    uint32_t tensor;
    uint64_t bytes; /* in guest memory */
};

/* One call under decision. */
struct frame {
    struct call call;
    struct graph *graph;
    struct held *held;
    struct context *context;
    struct live live; /* for a context that is not there yet */
    const struct facts *facts;
    const struct tensor *input;
    const struct tensor *output;
    struct transfer transfer;
    uint64_t wanted; /* bytes that an output needs in guest memory */
    struct {
        enum range what;
        uint32_t value;
    } writes[2];
    int write_count;
    enum action action;
    struct outcome action_fail;
    struct outcome outcome;
    struct text reason;
};

/* Whether the call goes on to the next step of the profile's program. */
bool decide(struct frame *f, const struct step *s);
/* The step's failure is the call's outcome; true when that is success after all. */
bool fail(struct frame *f, struct outcome outcome);
/* A number for the guest's memory, written when the call is over. */
void will_write(struct frame *f, enum range what, uint64_t value);

#define FAIL(frame, step, ...) (text_say(&(frame)->reason, __VA_ARGS__), fail(frame, (step)->fail))

/* The graphs and contexts that there are; each is found by the handle in the call. */
int64_t graphs_held(void);
int64_t contexts_held(void);
bool claim_graph(struct frame *f);
bool claim_context(struct frame *f);
bool find_graph(struct frame *f, const struct step *s);
bool find_context(struct frame *f, const struct step *s);
bool drop_graph(struct frame *f);
bool drop_context(struct frame *f);

#endif
