// Preloaded into the load generator: it polls instead of sleeping. Over loopback the server's CPU time contains waking
// the other side, which on a virtual machine is dearer than the answer; on a network a card does that.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <sys/epoll.h>
#include <time.h>

static long long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

int epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
  static int (*real)(int, struct epoll_event *, int, int);
  if (!real) real = dlsym(RTLD_NEXT, "epoll_wait");
  long long end = timeout < 0 ? LLONG_MAX : now_ms() + timeout;
  for (;;) {
    int got = real(fd, events, most, 0);
    if (got || now_ms() >= end) return got;
  }
}
