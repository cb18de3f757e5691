#include "cpu.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* AVX registers are there only when the system saves them. */
__attribute__((target("xsave"))) static unsigned saved_registers(void) { return (unsigned)__builtin_ia32_xgetbv(0); }

void say_cpu(struct text *to) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    text_say(to, "x86_64");
    __get_cpuid(1, &a, &b, &c, &d);
    text_say(to, " 1:%x:%x", c, d);
    if (c & bit_OSXSAVE)
        text_say(to, " saved:%x", saved_registers());
    if (__get_cpuid_count(7, 0, &a, &b, &c, &d))
        text_say(to, " 7:%x:%x", b, c);
    if (__get_cpuid(0x80000001, &a, &b, &c, &d))
        text_say(to, " more:%x", c);
}
#elif defined(__aarch64__)
#include <sys/auxv.h>

void say_cpu(struct text *to) { text_say(to, "aarch64 %lx %lx", getauxval(AT_HWCAP), getauxval(AT_HWCAP2)); }
#else
#error "for x86-64 and aarch64"
#endif
