/* The only process of the laboratory's guest. It fills memory with random pages that all bear a marker, keeps changing
   some of it, and writes a counter to the serial port every 20 ms: who reads that sees whether the guest's clock runs.
   The kernel hands its unknown parameters over as environment: fill (MiB), dirty (MiB/s), marker. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum { PAGE = 4096, EVERY = 512, TICK_MS = 20 };

static uint64_t state = 88172645463325252ULL;

static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void fill_page(unsigned char *page, const char *marker, size_t length) {
    for (size_t i = 0; i < PAGE; i += 8) {
        uint64_t word = next();
        memcpy(page + i, &word, 8);
    }
    for (size_t i = 0; i < PAGE; i += EVERY) memcpy(page + i, marker, length);
}

static size_t number(const char *name) {
    const char *text = getenv(name);
    return text ? strtoul(text, NULL, 10) : 0;
}

int main(void) {
    const char *marker = getenv("marker");
    size_t length = marker ? strlen(marker) : 0;
    size_t pages = number("fill") * 256, dirty = number("dirty") * 256 * TICK_MS / 1000, at = 0;
    int serial = open("/dev/ttyS0", O_WRONLY | O_NOCTTY);
    unsigned char *memory = mmap(NULL, (pages + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) dprintf(serial, "no memory\n");
    for (size_t i = 0; i < pages; i++) fill_page(memory + i * PAGE, marker ? marker : "", length);
    for (unsigned long tick = 1;; tick++) {
        struct timespec pause = {0, TICK_MS * 1000000L};
        dprintf(serial, "tick %lu\n", tick);
        for (size_t i = 0; i < dirty && pages; i++, at = (at + 1) % pages) fill_page(memory + at * PAGE, marker, length);
        nanosleep(&pause, NULL);
    }
}
