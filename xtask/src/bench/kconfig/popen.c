/* Answers commands from the file that $ANSWERS names: commands and answers, each ended by a NUL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *answers, *end;

static void read_answers(void)
{
	FILE *file = fopen(getenv("ANSWERS"), "r");
	long size;

	if (!file || fseek(file, 0, SEEK_END))
		abort();
	size = ftell(file);
	rewind(file);
	answers = calloc(1, size + 1);
	if (!answers || fread(answers, 1, size, file) != (size_t)size)
		abort();
	end = answers + size;
	fclose(file);
}

FILE *popen(const char *command, const char *mode)
{
	char *at;

	if (!answers)
		read_answers();
	for (at = answers; at < end;) {
		char *answer = at + strlen(at) + 1;

		/* A stream over no bytes cannot be opened; the NUL is as good as an end. */
		if (strcmp(at, command) == 0)
			return fmemopen(answer, strlen(answer) + (*answer == 0), mode);
		at = answer + strlen(answer) + 1;
	}
	fprintf(stderr, "nobody has answered: %s\n", command);
	abort();
}

int pclose(FILE *file)
{
	return fclose(file);
}
