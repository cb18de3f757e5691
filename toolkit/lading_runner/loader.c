#include "flatbuffer.h"

enum { MOST_HIDDEN = 4096, MOST_LOADED_RANK = 8 };
enum { COMPLEX128 = 11, VARIANT = 14 };

static void hide(struct facts *facts, int64_t at, size_t size) {
    if (facts->hidden_count == MOST_HIDDEN)
        return;
    if (!facts->hidden)
        facts->hidden = need(MOST_HIDDEN * sizeof *facts->hidden);
    facts->hidden[facts->hidden_count++] = (struct hidden){(size_t)at, size};
}

static bool all_within(struct reader *r, int64_t table, int number, int32_t lowest, int64_t end) {
    struct vector found = ints(r, table, number);
    for (int64_t i = 0; i < found.count; i++)
        if (int_in(r, found, i) < lowest || int_in(r, found, i) >= end)
            return false;
    return true;
}

static bool listed(struct reader *r, int64_t graph, int number, uint32_t tensor) {
    struct vector found = ints(r, graph, number);
    for (int64_t i = 0; i < found.count; i++)
        if ((uint32_t)int_in(r, found, i) == tensor)
            return true;
    return false;
}

/* The interpreter runs tensors of types and ranks that the loader does not know; inputs and outputs are another matter. */
static void hide_form(struct reader *r, int64_t tensor, struct facts *facts) {
    int64_t type = place(r, tensor, TENSOR_TYPE);
    if (type && (i8(r, type) == COMPLEX128 || i8(r, type) == VARIANT))
        hide(facts, type, 1);
    static const int forms[] = {TENSOR_SHAPE, TENSOR_SIGNATURE};
    for (int i = 0; i < 2; i++) {
        struct vector form = vector(r, tensor, forms[i], 4);
        if (form.count > MOST_LOADED_RANK)
            hide(facts, form.at - 4, 4);
    }
}

const char *look_for_loader(struct reader *r, int64_t root, struct facts *facts) {
    struct vector graphs = tables(r, root, MODEL_GRAPHS), buffers = vector(r, root, MODEL_BUFFERS, 4);
    const char *late = NULL;
    for (int64_t g = 0; g < graphs.count; g++) {
        int64_t graph = table_in(r, graphs, g);
        struct vector all = tables(r, graph, GRAPH_TENSORS), operators = tables(r, graph, GRAPH_OPERATORS);
        for (int64_t i = 0; i < all.count; i++) {
            int64_t tensor = table_in(r, all, i), at = place(r, tensor, TENSOR_VARIABLE);
            if (field_u32(r, tensor, TENSOR_BUFFER, 0) >= (buffers.count ? buffers.count : 1))
                return "a tensor has a buffer that is not there";
            if (at && i8(r, at))
                hide(facts, at, 1);
            hide_form(r, tensor, facts);
        }
        if (!all_within(r, graph, GRAPH_INPUTS, 0, all.count) || !all_within(r, graph, GRAPH_OUTPUTS, 0, all.count))
            return "a graph has an input or output that is not there";
        for (int64_t i = 0; i < operators.count; i++) {
            int64_t operator = table_in(r, operators, i);
            if (!all_within(r, operator, OPERATOR_INPUTS, -1, all.count) ||
                !all_within(r, operator, OPERATOR_OUTPUTS, 0, all.count))
                late = "an operator has a tensor that is not there";
            struct vector mutating = vector(r, operator, OPERATOR_MUTATING, 1);
            struct vector intermediates = vector(r, operator, OPERATOR_INTERMEDIATES, 4);
            if (mutating.count)
                hide(facts, mutating.at - 4, 4);
            if (intermediates.count)
                hide(facts, intermediates.at - 4, 4);
        }
    }
    struct vector signatures = tables(r, root, MODEL_SIGNATURES);
    for (int64_t s = 0; s < signatures.count; s++) {
        int64_t signature = table_in(r, signatures, s);
        uint32_t graph = field_u32(r, signature, 4, 0);
        if (graph >= graphs.count)
            return "a signature has a graph that is not there";
        if (!place(r, signature, 2))
            return "a signature has no name";
        int64_t its = table_in(r, graphs, graph), tensors_ = tables(r, its, GRAPH_TENSORS).count;
        for (int number = 0; number < 2; number++) {
            struct vector entries = tables(r, signature, number);
            for (int64_t i = 0; i < entries.count; i++) {
                uint32_t tensor = field_u32(r, table_in(r, entries, i), 1, 0);
                if (tensor >= tensors_)
                    return "a signature has a tensor that is not there";
                if (!listed(r, its, number ? GRAPH_OUTPUTS : GRAPH_INPUTS, tensor))
                    return "a signature has a tensor that is no input or output of its graph";
                if (!place(r, table_in(r, entries, i), 0))
                    return "a signature has a tensor without a name";
            }
        }
    }
    struct vector metadata = tables(r, root, MODEL_METADATA);
    for (int64_t i = 0; i < metadata.count; i++) {
        int64_t entry = table_in(r, metadata, i);
        if (!place(r, entry, 0) || field_u32(r, entry, 1, 0) >= buffers.count) {
            hide(facts, metadata.at - 4, 4); /* the interpreter passes over it */
            break;
        }
    }
    for (int64_t i = 0; i < buffers.count; i++) {
        int64_t buffer = table_in(r, buffers, i), at = place(r, buffer, 1), length = place(r, buffer, 2);
        uint64_t offset = at ? (uint64_t)i64(r, at) : 0, size = length ? (uint64_t)i64(r, length) : 0;
        if (offset && (offset > (uint64_t)r->size || size > (uint64_t)r->size - offset))
            return "a buffer lies outside the file";
        vector(r, buffer, 0, 1);
    }
    if (facts->hidden_count == MOST_HIDDEN)
        return "too many variables, or tensors of unusual form";
    facts->unsafe_late = late;
    return late;
}
