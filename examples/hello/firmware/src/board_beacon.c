#include "autoconf.h"
#include "board.h"

const struct board board = { .name = CONFIG_BOARD_NAME, .lamps = 2, .buzzers = 1 };
