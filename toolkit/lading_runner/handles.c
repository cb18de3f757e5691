#include "frame.h"

#include <stdlib.h>
#include <string.h>

static struct {
    struct graph **graphs;
    size_t graph_count;
    uint32_t next_graph;
    struct context **contexts;
    size_t context_count;
    uint32_t next_context;
} known;

int64_t graphs_held(void) { return (int64_t)known.graph_count; }

int64_t contexts_held(void) { return (int64_t)known.context_count; }

bool claim_graph(struct frame *f) {
    struct graph *graph = need(sizeof *graph);
    *graph = (struct graph){known.next_graph++, f->held};
    known.graphs = need_more(known.graphs, (known.graph_count + 1) * sizeof *known.graphs);
    known.graphs[known.graph_count++] = graph;
    f->graph = graph;
    will_write(f, GRAPH_OUT, graph->handle);
    return true;
}

bool find_graph(struct frame *f, const struct step *s) {
    uint32_t handle = f->call.args[ARG_HANDLE];
    for (size_t i = 0; i < known.graph_count; i++)
        if (known.graphs[i]->handle == handle) {
            f->graph = known.graphs[i];
            f->held = f->graph->held;
            f->facts = &f->held->facts;
            return true;
        }
    return FAIL(f, s, "there is no graph %u", handle);
}

bool find_context(struct frame *f, const struct step *s) {
    uint32_t handle = f->call.args[ARG_HANDLE];
    for (size_t i = 0; i < known.context_count; i++)
        if (known.contexts[i]->handle == handle) {
            f->context = known.contexts[i];
            f->graph = f->context->graph;
            f->held = f->graph->held;
            f->facts = &f->held->facts;
            return true;
        }
    return FAIL(f, s, "there is no execution context %u", handle);
}

bool claim_context(struct frame *f) {
    struct context *context = need(sizeof *context);
    *context = (struct context){.handle = known.next_context++, .graph = f->graph, .live = f->live};
    known.contexts = need_more(known.contexts, (known.context_count + 1) * sizeof *known.contexts);
    known.contexts[known.context_count++] = context;
    f->context = context;
    will_write(f, CONTEXT_OUT, context->handle);
    return true;
}

static void drop_at(size_t at) {
    struct context *context = known.contexts[at];
    live_free(&context->live);
    free(context);
    memmove(known.contexts + at, known.contexts + at + 1, (--known.context_count - at) * sizeof *known.contexts);
}

bool drop_graph(struct frame *f) {
    for (size_t i = known.context_count; i-- > 0;)
        if (known.contexts[i]->graph == f->graph)
            drop_at(i);
    for (size_t i = 0; i < known.graph_count; i++)
        if (known.graphs[i] == f->graph) {
            memmove(known.graphs + i, known.graphs + i + 1, (--known.graph_count - i) * sizeof *known.graphs);
            break;
        }
    free(f->graph);
    f->graph = NULL;
    return true;
}

bool drop_context(struct frame *f) {
    for (size_t i = 0; i < known.context_count; i++)
        if (known.contexts[i] == f->context) {
            drop_at(i);
            break;
        }
    f->context = NULL;
    return true;
}
