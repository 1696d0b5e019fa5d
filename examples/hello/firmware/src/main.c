#include "autoconf.h"
#include "board.h"
#include "version.h"

#ifdef CONFIG_BLINK
#define PERIOD_MS CONFIG_BLINK_PERIOD_MS
#else
#define PERIOD_MS 0
#endif

#ifdef CONFIG_BUZZER
#define BUZZERS_USED board.buzzers
#else
#define BUZZERS_USED 0
#endif

/* What a tool finds in the image: strings(1) is enough. */
struct about {
	char magic[8];
	char version[64];
	char greeting[64];
	unsigned period_ms;
};

__attribute__((section(".about"), used)) static const struct about about = {
	.magic = "hello-1",
	.version = VERSION,
	.greeting = CONFIG_GREETING,
	.period_ms = PERIOD_MS,
};

/* Where the lamps and the buzzer would be on a real board. */
static volatile unsigned port[4];

__attribute__((section(".start"))) void start(void)
{
	for (unsigned ticks = 0;; ticks++) {
		if (about.period_ms == 0 || ticks % about.period_ms != 0)
			continue;
		for (unsigned lamp = 0; lamp < board.lamps; lamp++)
			port[lamp] = !port[lamp];
		for (unsigned buzzer = 0; buzzer < BUZZERS_USED; buzzer++)
			port[board.lamps + buzzer] = !port[board.lamps + buzzer];
	}
}
