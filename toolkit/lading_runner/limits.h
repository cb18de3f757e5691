/* What keeps this process within its limits, and from outliving whoever started it. */
#ifndef LADING_LIMITS_H
#define LADING_LIMITS_H

#include <stdint.h>

/* Have the kernel kill this process when the one that started it ends, however it does. */
void die_with_parent(void);
/* Limit private data to what is there now plus so many bytes, and what the engines need. A limit of -1 is none. */
void limit_memory(int64_t memory_bytes, int threads);

/* A size of this process, as the kernel names it in /proc/self/status; -1 when it does not. */
int64_t status_bytes(const char *name);

#endif
