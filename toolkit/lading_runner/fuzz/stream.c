/* Inputs as rows of decisions. */
#include "fuzz.h"

uint32_t take_u8(struct stream *s) {
    if (!s->left)
        return 0;
    s->left--;
    return *s->at++;
}

uint32_t take_u32(struct stream *s) {
    uint32_t value = 0;
    for (int i = 0; i < 4; i++)
        value |= take_u8(s) << 8 * i;
    return value;
}

uint32_t take_below(struct stream *s, uint32_t bound) {
    if (bound <= 1)
        return 0;
    return (bound <= 256 ? take_u8(s) : take_u8(s) | take_u8(s) << 8 | take_u8(s) << 16) % bound;
}

uint32_t take_number(struct stream *s, uint32_t near) {
    static const uint32_t borders[] = {0, 1, 4, 7, 8, 255, 256, 4096, 65535, 65536, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFC, 0xFFFFFFFF};
    uint32_t how = take_u8(s);
    if (how < 90)
        return take_below(s, 9);
    if (how < 130)
        return borders[take_below(s, sizeof borders / sizeof *borders)];
    if (how < 200)
        return near + take_below(s, 41) - 20;
    if (how < 225)
        return take_below(s, near ? near : 1);
    return take_u32(s);
}
