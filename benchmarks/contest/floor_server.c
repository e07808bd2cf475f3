/* A loop of recvfrom and sendto: the limit that no library can go under with a datagram a message.
   W1: every datagram goes back. W3: whoever sent anything gets a state each tick. Loopback only:
   a player is known by its port. It talks as common.py beside it says. */

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MOST_LATE 65536
#define STATES 64
#define MOST_STATE 4096

static volatile long messages, ticks, inputs, players;
static double late[MOST_LATE];
static volatile int late_count;

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

static int by_size(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

static void *answer(void *unused)
{
    static double taken[MOST_LATE];
    char line[4096];
    while (fgets(line, sizeof line, stdin)) {
        double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
        int count = late_count;
        memcpy(taken, late, count * sizeof *taken);
        late_count = 0;
        qsort(taken, count, sizeof *taken, by_size);
        printf("{\"cpu\": %.6f, \"messages\": %ld, \"ticks\": %ld, \"inputs\": %ld, "
               "\"players\": %ld, \"tick_late_p99_ms\": ", cpu, messages, ticks, inputs, players);
        if (count)
            printf("%.4f}\n", taken[(int)(count * 0.99)] * 1e3);
        else
            printf("null}\n");
        fflush(stdout);
    }
    _exit(0);
    return unused;
}

static double number(const char *spec, const char *key)
{
    char quoted[64];
    snprintf(quoted, sizeof quoted, "\"%s\": ", key);
    const char *found = strstr(spec, quoted);
    return found ? strtod(found + strlen(quoted), NULL) : 0;
}

static void echo(int udp)
{
    char data[1500];
    struct sockaddr_in from;
    for (;;) {
        socklen_t length = sizeof from;
        ssize_t size = recvfrom(udp, data, sizeof data, 0, (struct sockaddr *)&from, &length);
        if (size < 0)
            continue;
        sendto(udp, data, size, 0, (struct sockaddr *)&from, length);
        messages++;
    }
}

static void play(int udp, double hz, int state_bytes)
{
    static char known[65536], states[STATES][MOST_STATE];
    static struct sockaddr_in addresses[65536];
    char data[1500];
    struct pollfd readable = {udp, POLLIN, 0};
    double period = 1 / hz, due = seconds(CLOCK_MONOTONIC) + period;
    for (int i = 0; i < STATES; i++)
        for (int j = 0; j < MOST_STATE; j++)
            states[i][j] = rand();
    for (;;) {
        double left = due - seconds(CLOCK_MONOTONIC);
        if (left <= 0) {
            if (late_count < MOST_LATE)
                late[late_count++] = -left;
            char *state = states[++ticks % STATES];
            unsigned head = htonl(ticks);
            memcpy(state, &head, sizeof head);
            for (int i = 0; i < players; i++)
                sendto(udp, state, state_bytes, 0, (struct sockaddr *)&addresses[i],
                       sizeof addresses[i]);
            due += period * (1 + (long)(-left / period));
            continue;
        }
        struct timespec wait = {0, left * 1e9};
        ppoll(&readable, 1, &wait, NULL);
        while (seconds(CLOCK_MONOTONIC) < due) {
            struct sockaddr_in from;
            socklen_t length = sizeof from;
            if (recvfrom(udp, data, sizeof data, MSG_DONTWAIT, (struct sockaddr *)&from, &length)
                < 0)
                break;
            inputs++;
            if (!known[ntohs(from.sin_port)]) {
                known[ntohs(from.sin_port)] = 1;
                addresses[players++] = from;
            }
        }
    }
}

int main(void)
{
    char spec[8192];
    if (!fgets(spec, sizeof spec, stdin))
        return 1;
    int udp = socket(AF_INET, SOCK_DGRAM, 0), room = 4 * 1024 * 1024;
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof here;
    setsockopt(udp, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (bind(udp, (struct sockaddr *)&here, sizeof here)
        || getsockname(udp, (struct sockaddr *)&here, &length))
        return 1;
    printf("{\"port\": %d}\n", ntohs(here.sin_port));
    fflush(stdout);
    pthread_t other;
    if (pthread_create(&other, NULL, answer, NULL))
        return 1;
    if (strstr(spec, "\"workload\": \"W3\""))
        play(udp, number(spec, "hz"), number(spec, "state_bytes"));
    else
        echo(udp);
    return 0;
}
