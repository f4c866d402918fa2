/* A client that costs next to nothing: sends one request body again and again and times the answers. One thread, epoll.
 *
 *   closed  CONNS connections, each sends when its last answer is whole: the most requests per second
 *   open    RATE requests a second at random instants (Poisson, always the same ones); an answer's time counts from the
 *           instant its request was due, so a server that stalls cannot hide it by holding up the next request
 *   stream  CONNS streams at once, each begun again when it ends; STAGGER microseconds between the first ones
 *
 * Usage: load MODE PORT BODYFILE [-c CONNS] [-r RATE] [-w WARM_UP] [-t SECONDS] [-n EVENTS] [-s STAGGER] [-k KEY] [-g PID]...
 *
 * What happens in the WARM_UP is not counted. In the body, every @session becomes one of 1,000 numbers and every @request
 * a new one. -n: events a whole stream has, [DONE] not counted. -g: processes whose CPU time is read at both ends of the
 * measurement. Prints "ready" once all streams have begun, and one JSON object at the end. Times are microseconds.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { SESSIONS = 1000, HEAD_MOST = 16384, MARKS = 16, PIDS = 64 };
enum { HEAD, SIZED, CHUNK_SIZE, CHUNK, CHUNK_END, TRAILER };

typedef struct Times { double *us; size_t count, room; } Times;
typedef struct Conn {
    int fd, busy, state, status, waits_for_room, closes;
    char head[HEAD_MOST];
    size_t head_size, sent, left, line; /* `line`: bytes of the line of the stream being read */
    long due, events;
    struct Conn *next;
} Conn;

static int poller, mode, port, conns = 32, pids[PIDS], pid_count;
static double rate = 100, warm_up = 0.3, seconds = 1;
static long expected, stagger, begin_at, end_at, sequence, bad, cut, done, events, streaming;
static char *request, *marks[MARKS], mark_kinds[MARKS], buffer[1 << 18];
static size_t request_size, mark_count, due_count, due_next;
static long *due; /* of the open mode, in order */
static Conn *all, *idle;
static Times whole, first;

static long now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1000000000L + t.tv_nsec; }

static double cpu_us(void) {
    double sum = 0;
    for (int i = 0; i < pid_count; i++) {
        struct timespec t;
        if (!clock_gettime((~(clockid_t)pids[i] << 3) | 2, &t)) sum += t.tv_sec * 1e6 + t.tv_nsec / 1e3;
    }
    return sum;
}
static void note(Times *times, long ns) {
    if (times->count == times->room) times->us = realloc(times->us, (times->room = times->room * 2 + 4096) * sizeof(double));
    times->us[times->count++] = ns / 1e3;
}
static int by_size(const void *a, const void *b) { double x = *(double *)a, y = *(double *)b; return (x > y) - (x < y); }
static void print_times(const char *name, Times *times) {
    if (!times->count) return;
    qsort(times->us, times->count, sizeof(double), by_size);
    double *us = times->us, last = times->count - 1;
    printf(",\"%s_p50\":%.1f,\"%s_p90\":%.1f,\"%s_p99\":%.1f,\"%s_max\":%.1f", name, us[(size_t)(last * 0.5)], name,
           us[(size_t)(last * 0.9)], name, us[(size_t)(last * 0.99)], name, us[(size_t)last]);
}

static void listen_for(Conn *c, int how, int room) {
    struct epoll_event e = {.events = EPOLLIN | (room ? EPOLLOUT : 0), .data.ptr = c};
    epoll_ctl(poller, how, c->fd, &e);
    c->waits_for_room = room;
}
static int dial(Conn *c) {
    int one = 1;
    struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(c->fd, (void *)&there, sizeof there)) { close(c->fd); c->fd = -1; return -1; }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    listen_for(c, EPOLL_CTL_ADD, 0);
    return 0;
}
static void hang_up(Conn *c) { if (c->fd >= 0) close(c->fd); c->fd = -1; }

static int send_rest(Conn *c) {
    while (c->sent < request_size) {
        ssize_t n = send(c->fd, request + c->sent, request_size - c->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN) return -1;
        if (n < 0) { if (!c->waits_for_room) listen_for(c, EPOLL_CTL_MOD, 1); return 0; }
        c->sent += n;
    }
    if (c->waits_for_room) listen_for(c, EPOLL_CTL_MOD, 0);
    return 0;
}
static void number_marks(void) {
    char digits[16];
    sequence++;
    for (size_t i = 0; i < mark_count; i++) {
        sprintf(digits, "%08ld", mark_kinds[i] == 's' ? sequence % SESSIONS : sequence % 100000000);
        memcpy(marks[i], digits, 8); /* a request half sent gets some of these digits: no harm */
    }
}
static void ask(Conn *c, long instant) {
    c->busy = 1;
    c->state = HEAD;
    c->head_size = c->sent = c->line = 0;
    c->events = c->closes = 0;
    c->due = instant;
    number_marks();
    for (int attempt = 0; attempt < 2; attempt++) { /* an idle connection may have been closed meanwhile */
        if (c->fd < 0 && dial(c)) continue;
        if (!send_rest(c)) return;
        hang_up(c);
    }
    c->busy = 0;
    bad++;
}
static void ended(Conn *c, int good) {
    long instant = now();
    int counts = instant >= begin_at && instant < end_at;
    if (mode == 'o') counts = c->due >= begin_at;
    if (!good || c->status != 200) bad += counts;
    else if (mode == 's' && expected && c->events < expected + 1) cut += counts;
    else if (counts) { done++; note(&whole, instant - c->due); }
    if (!good || c->closes) hang_up(c);
    c->busy = 0;
    if (instant >= end_at) return;
    if (mode != 'o') ask(c, instant);
    else if (due_next < due_count && due[due_next] <= instant) ask(c, due[due_next++]);
    else { c->next = idle; idle = c; }
}
static void read_events(Conn *c, const char *p, size_t n) {
    const char *end = p + n, *stop;
    while ((stop = memchr(p, '\n', end - p))) {
        c->line += stop - p;
        if (!c->line) { /* an empty line ends an event */
            long instant = now();
            if (!c->events++) {
                if (c->due >= begin_at) note(&first, instant - c->due);
                if (++streaming == conns) { puts("ready"); fflush(stdout); }
            }
            if (instant >= begin_at && instant < end_at) events++;
        }
        c->line = 0;
        p = stop + 1;
    }
    c->line += end - p;
}
static void read_head(Conn *c) {
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    c->status = atoi(c->head + 9);
    c->closes = strcasestr(c->head, "\r\nconnection: close") != NULL;
    c->left = length ? strtoul(length + 17, NULL, 10) : 0;
    c->state = length ? SIZED : CHUNK_SIZE;
}
static size_t take_head(Conn *c, const char *p, size_t n) {
    size_t old = c->head_size, room = HEAD_MOST - 1 - old, taken = n < room ? n : room;
    memcpy(c->head + old, p, taken);
    c->head_size += taken;
    c->head[c->head_size] = 0;
    char *end = strstr(c->head, "\r\n\r\n");
    if (!end) return taken;
    end[2] = 0;
    read_head(c);
    return end + 4 - c->head - old;
}
/* Takes bytes of an answer; 1: it is whole, 0: more is to come, -1: it makes no sense. */
static int take(Conn *c, const char *p, size_t n) {
    while (n) {
        size_t taken = 1;
        switch (c->state) {
        case HEAD:
            if (!(taken = take_head(c, p, n))) return -1;
            break;
        case SIZED: case CHUNK:
            taken = n < c->left ? n : c->left;
            if (mode == 's') read_events(c, p, taken);
            c->left -= taken;
            if (c->state == CHUNK && !c->left) c->state = CHUNK_END;
            break;
        case CHUNK_SIZE:
            if (*p == '\n') c->state = c->left ? CHUNK : TRAILER;
            else if (*p != '\r') c->left = c->left * 16 + (*p <= '9' ? *p - '0' : (*p | 32) - 'a' + 10);
            break;
        case CHUNK_END: case TRAILER:
            if (*p == '\n') { if (c->state == TRAILER) return 1; c->state = CHUNK_SIZE; }
            break;
        }
        p += taken;
        n -= taken;
        if (c->state == SIZED && !c->left) return 1;
    }
    return 0;
}
static void readable(Conn *c) {
    ssize_t n = recv(c->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0 && !c->busy) { hang_up(c); return; }
    int whole_answer = n <= 0 ? -1 : take(c, buffer, n);
    if (whole_answer) ended(c, whole_answer > 0);
}

static void read_body(const char *path, const char *key) {
    FILE *file = fopen(path, "rb");
    if (!file) { perror(path); exit(1); }
    fseek(file, 0, SEEK_END);
    size_t size = ftell(file);
    rewind(file);
    request = malloc(size + 1024);
    request_size = sprintf(request, "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Type: application/json\r\n"
                           "Authorization: Bearer %s\r\nUser-Agent: bench/1\r\nContent-Length: %zu\r\n\r\n", port, key, size);
    if (fread(request + request_size, 1, size, file) != size) exit(1);
    request_size += size;
    fclose(file);
    for (char *at = request; (at = memchr(at, '@', request + request_size - at)) && mark_count < MARKS; at++)
        if (!memcmp(at, "@session", 8) || !memcmp(at, "@request", 8)) { mark_kinds[mark_count] = at[1]; marks[mark_count++] = at; }
}
static void draw_arrivals(void) {
    double span = (warm_up + seconds) * 1e9, at = 0;
    due = malloc(((size_t)(span / 1e9 * rate * 2) + 1000) * sizeof *due);
    srand48(7);
    while ((at += -log(1 - drand48()) * 1e9 / rate) < span) due[due_count++] = (long)at;
}
static void report(double cpu) {
    long instant = now(), late = 0;
    if (mode == 'o') { /* what was due and never answered has waited at least until now */
        for (int i = 0; i < conns; i++) if (all[i].busy && all[i].due >= begin_at) { note(&whole, instant - all[i].due); late++; }
        for (; due_next < due_count; due_next++) if (due[due_next] >= begin_at) { note(&whole, instant - due[due_next]); late++; }
    }
    printf("{\"seconds\":%.3f,\"done\":%ld,\"bad\":%ld,\"cut\":%ld,\"late\":%ld,\"events\":%ld", seconds, done, bad, cut, late, events);
    if (pid_count) printf(",\"cpu_us\":%.0f", cpu);
    print_times("whole", &whole);
    print_times("first", &first);
    puts("}");
}
static void run(void) {
    struct epoll_event happened[256];
    double cpu = 0;
    int started = mode == 'o' ? conns : 0, warm = 0;
    long start = now();
    begin_at = start + (long)(warm_up * 1e9);
    end_at = begin_at + (long)(seconds * 1e9);
    for (size_t i = 0; i < due_count; i++) due[i] += start;
    for (;;) {
        long instant = now(), wake = warm ? end_at : begin_at;
        if (!warm && instant >= begin_at) { warm = 1; cpu = cpu_us(); continue; }
        if (instant >= end_at) break;
        for (; started < conns && instant >= start + started * stagger * 1000; started++) ask(&all[started], instant);
        if (started < conns && start + started * stagger * 1000 < wake) wake = start + started * stagger * 1000;
        while (idle && due_next < due_count && due[due_next] <= instant) {
            Conn *c = idle;
            idle = c->next;
            ask(c, due[due_next++]);
        }
        if (idle && due_next < due_count && due[due_next] < wake) wake = due[due_next];
        long wait = wake - now();
        struct timespec until = {wait > 0 ? wait / 1000000000 : 0, wait > 0 ? wait % 1000000000 : 0};
        int n = epoll_pwait2(poller, happened, 256, &until, NULL);
        for (int i = 0; i < n; i++) {
            Conn *c = happened[i].data.ptr;
            if (c->fd < 0) continue;
            if ((happened[i].events & EPOLLOUT) && c->busy && send_rest(c)) { ended(c, 0); continue; }
            if (happened[i].events & ~EPOLLOUT) readable(c);
        }
    }
    report(cpu_us() - cpu);
}
int main(int count, char **words) {
    const char *key = "none";
    if (count < 4) { fprintf(stderr, "usage: load closed|open|stream PORT BODYFILE ...\n"); return 2; }
    mode = words[1][0];
    port = atoi(words[2]);
    optind = 4;
    for (int option; (option = getopt(count, words, "c:r:w:t:n:s:k:g:")) != -1;) switch (option) {
        case 'c': conns = atoi(optarg); break;
        case 'r': rate = atof(optarg); break;
        case 'w': warm_up = atof(optarg); break;
        case 't': seconds = atof(optarg); break;
        case 'n': expected = atol(optarg); break;
        case 's': stagger = atol(optarg); break;
        case 'k': key = optarg; break;
        case 'g': if (pid_count < PIDS) pids[pid_count++] = atoi(optarg); break;
        default: return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    read_body(words[3], key);
    poller = epoll_create1(0);
    all = calloc(conns, sizeof *all);
    for (int i = 0; i < conns; i++) all[i].fd = -1;
    if (mode == 'o') {
        draw_arrivals();
        for (int i = 0; i < conns; i++) if (!dial(&all[i])) { all[i].next = idle; idle = &all[i]; }
    }
    run();
    return 0;
}
