#include "limits.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

enum { MIB = 1 << 20, STACK_ALLOWANCE = 10 * MIB, FIXED_ALLOWANCE = 16 * MIB };

void die_with_parent(void) {
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != 1 || getsid(0) != getpid())
        return;
    /* It was gone before the kernel was told. Under a container's init a live parent is number 1 too: it is asked
     * whether it still reads our standard output, which a dead one does not. */
    struct pollfd output = {.fd = 1};
    if (poll(&output, 1, 0) == 1 && output.revents & POLLERR)
        _exit(1);
}

int64_t status_bytes(const char *name) {
    long long kilobytes = -1;
    size_t size = strlen(name);
    char line[256];
    FILE *file = fopen("/proc/self/status", "re");
    while (file && kilobytes < 0 && fgets(line, sizeof line, file))
        if (!strncmp(line, name, size) && line[size] == ':')
            sscanf(line + size + 1, "%lld", &kilobytes);
    if (file)
        fclose(file);
    return kilobytes < 0 ? -1 : kilobytes * 1024;
}

#if defined(__SANITIZE_ADDRESS__)
/* A sanitizer that gets no memory never comes to an end: runs of such a build are limited by the guest's own memory. */
enum { LIMITED = 0 };
#else
enum { LIMITED = 1 };
#endif

void limit_memory(int64_t memory_bytes, int threads) {
    int64_t now = memory_bytes < 0 ? -1 : status_bytes("VmData");
    struct rlimit limit;
    if (!LIMITED || now < 0 || getrlimit(RLIMIT_DATA, &limit))
        return;
    /* Data, not address space: a wasm engine reserves gigabytes of addresses that cost nothing. */
    rlim_t wanted = (rlim_t)(now + memory_bytes + FIXED_ALLOWANCE + (int64_t)STACK_ALLOWANCE * (threads > 0 ? threads : 1));
    if (limit.rlim_max != RLIM_INFINITY && wanted > limit.rlim_max)
        wanted = limit.rlim_max;
    limit.rlim_cur = limit.rlim_max = wanted;
    setrlimit(RLIMIT_DATA, &limit);
}
