"""Prints the menu that kconfiglib's own menuconfig shows, a line for each entry.

usage: menu.py KCONFIGLIB_DIR KCONFIG ENDING NAME...

Loads each NAME and writes what is shown to NAME without its ending and with ENDING.
"""
import os, sys

sys.path.insert(0, sys.argv[1])
import kconfiglib, menuconfig


def settable(item):
    if item.orig_type in (kconfiglib.BOOL, kconfiglib.TRISTATE):
        values = item.assignable
        alone = isinstance(item, kconfiglib.Symbol) and item.choice and values == (2,)
        if len(values) < 2 and not alone:
            return '-'
        return ''.join('nmy'[value] for value in values)
    if not item.visibility:
        return '-'
    for low, high, condition in getattr(item, 'ranges', []):
        if kconfiglib.expr_value(condition):
            base = 16 if item.orig_type == kconfiglib.HEX else 10
            return '%d..%d' % (int(low.str_value, base), int(high.str_value, base))
    return '..'


def walk(menu, level, lines):
    for node in menuconfig._shown_nodes(menu):
        depth, above = 0, node.parent
        while not above.is_menuconfig:
            depth, above = depth + 1, above.parent
        item = node.item
        kind = {kconfiglib.MENU: 'menu', kconfiglib.COMMENT: 'comment'}.get(item)
        title = node.prompt[0] if node.prompt else ''
        if kind:
            words = [kind, title]
        else:
            kind = 'choice' if isinstance(item, kconfiglib.Choice) else 'symbol'
            words = [kind, title, (item.name or '') if kind == 'symbol' else '', item.str_value, settable(item)]
        lines.append('%s%s' % ('  ' * level + '. ' * depth, '|'.join(words)))
        if node.is_menuconfig and (node.list or kind == 'choice'):
            walk(node, level + 1, lines)


def main():
    tool, root, ending, *names = sys.argv[1:]
    for name in names:
        kconf = kconfiglib.Kconfig(root, warn=False)
        kconf.load_config(name)
        lines = []
        for menuconfig._show_all in [False, True]:
            lines.append('all:' if menuconfig._show_all else 'shown:')
            walk(kconf.top_node, 0, lines)
        with open(os.path.splitext(name)[0] + ending, 'w') as out:
            out.write('\n'.join(lines) + '\n')


main()
