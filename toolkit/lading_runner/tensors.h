/* Tensor bytes between guest memory and interpreter: one copy each way, quantized on the way where asked. */
#ifndef LADING_TENSORS_H
#define LADING_TENSORS_H

#include "facts.h"

/* f32 numbers as a tensor's integers: rounded half away from zero, clipped; NaN stands for zero. */
void quantize(const struct tensor *facts, unsigned char *to, const unsigned char *from, size_t count);
/* A tensor's integers as f32 numbers. */
void dequantize(const struct tensor *facts, unsigned char *to, const unsigned char *from, size_t count);

#endif
