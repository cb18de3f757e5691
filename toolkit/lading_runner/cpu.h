/* What this processor can do, as far as an engine makes use of it. */
#ifndef LADING_CPU_H
#define LADING_CPU_H

#include "text.h"

/* Architecture and features, in one line: code that was compiled for one line runs wherever the line is the same. */
void say_cpu(struct text *to);

#endif
