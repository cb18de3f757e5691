/* Reading a flatbuffer, TFLite's schema in particular; no offset is followed out of the file.
 *
 * A reader that finds something wrong says so in `error` and jumps to `bad`.
 */
#ifndef LADING_FLATBUFFER_H
#define LADING_FLATBUFFER_H

#include <setjmp.h>

#include "facts.h"

/* Numbers of fields in the tables of TFLite's schema. */
enum { MODEL_VERSION, MODEL_CODES, MODEL_GRAPHS, MODEL_BUFFERS = 4, MODEL_METADATA = 6, MODEL_SIGNATURES };
enum { GRAPH_TENSORS, GRAPH_INPUTS, GRAPH_OUTPUTS, GRAPH_OPERATORS };
enum { OPERATOR_CODE, OPERATOR_INPUTS, OPERATOR_OUTPUTS, OPERATOR_MUTATING = 7, OPERATOR_INTERMEDIATES };
enum { TENSOR_SHAPE, TENSOR_TYPE, TENSOR_BUFFER, TENSOR_NAME, TENSOR_QUANTIZATION, TENSOR_VARIABLE, TENSOR_SIGNATURE = 7 };
struct reader {
    const unsigned char *data;
    int64_t size;
    struct text error;
    bool *marks; /* of the main graph's tensors; freed by facts_read */
    jmp_buf bad;
};

struct vector {
    int64_t at;
    int64_t count;
};
_Noreturn void damaged(struct reader *r);
const unsigned char *piece(struct reader *r, int64_t at, int64_t size);
uint32_t u32(struct reader *r, int64_t at);
int64_t i64(struct reader *r, int64_t at);
int8_t i8(struct reader *r, int64_t at);

/* Where a field of a table lies; 0 when it has its default. */
int64_t place(struct reader *r, int64_t table, int number);
uint32_t field_u32(struct reader *r, int64_t table, int number, uint32_t otherwise);
int field_i8(struct reader *r, int64_t table, int number);
struct slice text_field(struct reader *r, int64_t table, int number);

/* A field that is a vector of items of so many bytes; `bounded` ones have at most so many items. */
struct vector vector(struct reader *r, int64_t table, int number, int64_t item);
struct vector bounded(struct reader *r, int64_t table, int number, int64_t item, int64_t most);
struct vector tables(struct reader *r, int64_t table, int number);
struct vector ints(struct reader *r, int64_t table, int number);
int64_t table_in(struct reader *r, struct vector v, int64_t i);
int32_t int_in(struct reader *r, struct vector v, int64_t i);

/* What LiteRT's loader follows without a look (the answer; NULL if nothing is wrong), and what it refuses without need
 * (the places to hide from it, in `facts`). */
const char *look_for_loader(struct reader *r, int64_t root, struct facts *facts);

#endif
