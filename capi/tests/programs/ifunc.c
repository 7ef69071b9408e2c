/*
 * Calls libaio in a function that is resolved while the program is relocated.
 * A static C library has neither errno nor a thread at that time.
 */
#include <libaio.h>
#include <stdio.h>

static int results[3];

static int chosen(void)
{
	return 7;
}

static int (*choose(void))(void)
{
	io_context_t ctx = NULL;

	results[0] = io_setup(1, &ctx);
	results[1] = io_submit(ctx, -1, NULL);
	results[2] = io_destroy(ctx);
	return chosen;
}

int function(void) __attribute__((ifunc("choose")));

int main(void)
{
	printf("%d %d %d %d\n", function(), results[0], results[1], results[2]);
	return !(function() == 7 && results[0] == 0 && results[1] == -22 &&
		 results[2] == 0);
}
