#include "autoconf.h"
#include "board.h"

const struct board board = { .name = CONFIG_BOARD_NAME, .lamps = 1, .buzzers = 0 };
