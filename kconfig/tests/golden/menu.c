/*
 * Prints the menu that Linux's mconf shows, a line for each entry, as menu.py does for kconfiglib.
 *
 * Built beside the objects of `scripts/kconfig`, which decide what belongs to what and what is
 * visible; see `record`. usage: menu KCONFIG CONFIG
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "lkc.h"

static int all;

static void prefix(int level, int depth)
{
	while (level--)
		printf("  ");
	while (depth--)
		printf(". ");
}

static void settable(struct symbol *sym)
{
	struct property *range;
	int base = sym->type == S_HEX ? 16 : 10, any = 0, count = 0, value;

	if (sym->type == S_BOOLEAN || sym->type == S_TRISTATE) {
		for (value = no; value <= yes; value++)
			count += sym_tristate_within_range(sym, value);
		if (count < 2 && !(sym_is_choice_value(sym) && sym->visible == yes && count)) {
			printf("-");
			return;
		}
		for (value = no; value <= yes; value++)
			if (sym_tristate_within_range(sym, value))
				printf("%c", "nmy"[value]);
		return;
	}
	if (sym->visible == no) {
		printf("-");
		return;
	}
	for (range = sym->prop; range && !any; range = range->next)
		if (range->type == P_RANGE && expr_calc_value(range->visible.expr) != no) {
			printf("%lld..%lld",
			       strtoll(sym_get_string_value(range->expr->left.sym), NULL, base),
			       strtoll(sym_get_string_value(range->expr->right.sym), NULL, base));
			any = 1;
		}
	if (!any)
		printf("..");
}

static void below(struct menu *menu, int level, int depth);

/* Members of a choice that is on are listed in it; what belongs to the chosen one, behind it. */
static void entry(struct menu *menu, int level, int depth)
{
	struct symbol *sym = menu->sym;
	const char *title = menu_has_prompt(menu) ? menu->prompt->text : "";
	struct menu *member;

	if (all ? !menu_has_prompt(menu) : !menu_is_visible(menu))
		return;
	prefix(level, depth);
	if (!sym) {
		printf("%s|%s\n", menu->prompt->type == P_MENU ? "menu" : "comment", title);
		if (menu->prompt->type == P_MENU)
			below(menu, level + 1, 0);
		return;
	}
	sym_calc_value(sym);
	printf("%s|%s|%s|%s|", sym_is_choice(sym) ? "choice" : "symbol", title,
	       sym->name && !sym_is_choice(sym) ? sym->name : "", sym_get_string_value(sym));
	settable(sym);
	printf("\n");
	if (sym_is_choice(sym) && sym_get_tristate_value(sym) == yes) {
		below(menu, level + 1, 0);
		for (member = menu->list; member; member = member->next)
			if (member->sym && member->sym == sym_get_choice_value(sym) && member->list)
				entry(member, level, depth + 1);
	} else if (sym_is_choice(sym)) {
		below(menu, level + 1, 0);
		below(menu, level, depth + 1);
	} else if (menu->prompt->type == P_MENU) {
		below(menu, level + 1, 0);
	} else {
		below(menu, level, depth + 1);
	}
}

static void below(struct menu *menu, int level, int depth)
{
	for (menu = menu->list; menu; menu = menu->next)
		entry(menu, level, depth);
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	conf_parse(argv[1]);
	conf_read(argv[2]);
	for (all = 0; all < 2; all++) {
		printf(all ? "all:\n" : "shown:\n");
		below(&rootmenu, 0, 0);
	}
	return 0;
}
