#ifndef BOARD_H
#define BOARD_H

struct board {
	const char *name;
	unsigned lamps;
	unsigned buzzers;
};

extern const struct board board;

#endif
