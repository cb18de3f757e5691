#include "tensors.h"

#include <math.h>
#include <string.h>

static void limits(const struct tensor *facts, double *low, double *high) {
    bool wide = facts->element == 2, plain = facts->dtype[0] == 'u';
    *low = plain ? 0 : wide ? -32768 : -128;
    *high = plain ? 255 : wide ? 32767 : 127;
}

void quantize(const struct tensor *facts, unsigned char *to, const unsigned char *from, size_t count) {
    double low, high;
    limits(facts, &low, &high);
    for (size_t i = 0; i < count; i++) {
        float value;
        memcpy(&value, from + 4 * i, 4);
        double steps = (double)value / facts->scale;
        steps = trunc(steps + copysign(0.5, steps)) + (double)facts->zero_point;
        if (isnan(steps))
            steps = (double)facts->zero_point;
        int32_t whole = (int32_t)(steps < low ? low : steps > high ? high : steps);
        if (facts->element == 2)
            memcpy(to + 2 * i, &(int16_t){(int16_t)whole}, 2);
        else
            to[i] = (unsigned char)whole;
    }
}

void dequantize(const struct tensor *facts, unsigned char *to, const unsigned char *from, size_t count) {
    float zero = (float)facts->zero_point, scale = (float)facts->scale;
    bool plain = facts->dtype[0] == 'u';
    for (size_t i = 0; i < count; i++) {
        int16_t wide = 0;
        if (facts->element == 2)
            memcpy(&wide, from + 2 * i, 2);
        float whole = facts->element == 2 ? (float)wide : plain ? (float)from[i] : (float)(int8_t)from[i];
        float value = (whole - zero) * scale;
        memcpy(to + 4 * i, &value, 4);
    }
}
