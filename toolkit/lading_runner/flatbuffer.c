#include "flatbuffer.h"

#include <string.h>

enum { MOST_ENTRIES = 100000, MOST_NAME = 1024 };

_Noreturn void damaged(struct reader *r) { longjmp(r->bad, 1); }

const unsigned char *piece(struct reader *r, int64_t at, int64_t size) {
    if (at < 0 || at + size > r->size) {
        text_say(&r->error, "offset %lld is out of range", (long long)at);
        damaged(r);
    }
    return r->data + at;
}

uint32_t u32(struct reader *r, int64_t at) {
    uint32_t v;
    memcpy(&v, piece(r, at, 4), 4);
    return v;
}

int64_t i64(struct reader *r, int64_t at) {
    int64_t v;
    memcpy(&v, piece(r, at, 8), 8);
    return v;
}

static uint16_t u16(struct reader *r, int64_t at) {
    uint16_t v;
    memcpy(&v, piece(r, at, 2), 2);
    return v;
}

int8_t i8(struct reader *r, int64_t at) { return (int8_t)*piece(r, at, 1); }

/* Where a field of a table lies; 0 when it has its default. */
int64_t place(struct reader *r, int64_t table, int number) {
    int64_t vtable = table - (int32_t)u32(r, table);
    int length = u16(r, vtable), entry = 4 + 2 * number;
    if (entry + 2 > length)
        return 0;
    int offset = u16(r, vtable + entry);
    return offset ? table + offset : 0;
}

uint32_t field_u32(struct reader *r, int64_t table, int number, uint32_t otherwise) {
    int64_t at = place(r, table, number);
    return at ? u32(r, at) : otherwise;
}

int field_i8(struct reader *r, int64_t table, int number) {
    int64_t at = place(r, table, number);
    return at ? i8(r, at) : 0;
}

struct vector vector(struct reader *r, int64_t table, int number, int64_t item) {
    int64_t at = place(r, table, number);
    if (!at)
        return (struct vector){0, 0};
    int64_t start = at + u32(r, at), count = u32(r, start);
    if (start + 4 + count * item > r->size) {
        text_say(&r->error, "a vector of %lld items at %lld is longer than the file", (long long)count, (long long)start);
        damaged(r);
    }
    return (struct vector){start + 4, count};
}

struct vector bounded(struct reader *r, int64_t table, int number, int64_t item, int64_t most) {
    struct vector v = vector(r, table, number, item);
    if (v.count > most) {
        text_say(&r->error, "%lld entries in one list", (long long)v.count);
        damaged(r);
    }
    return v;
}

struct vector tables(struct reader *r, int64_t table, int number) { return bounded(r, table, number, 4, MOST_ENTRIES); }

int64_t table_in(struct reader *r, struct vector v, int64_t i) { return v.at + 4 * i + u32(r, v.at + 4 * i); }

struct vector ints(struct reader *r, int64_t table, int number) { return bounded(r, table, number, 4, MOST_ENTRIES); }

int32_t int_in(struct reader *r, struct vector v, int64_t i) { return (int32_t)u32(r, v.at + 4 * i); }

struct slice text_field(struct reader *r, int64_t table, int number) {
    struct vector v = vector(r, table, number, 1);
    return (struct slice){(const char *)r->data + v.at, (size_t)(v.count < MOST_NAME ? v.count : MOST_NAME)};
}
