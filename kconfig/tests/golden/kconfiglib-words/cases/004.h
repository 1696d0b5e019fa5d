#define CONFIG_OUTSIDE "from outside"
#define CONFIG_LATE "first and second third"
#define CONFIG_NESTED "-second third- x y"
#define CONFIG_QUOTES "single \"double\" ' \\ end"
#define CONFIG_JOINED 1
#define CONFIG_FROM_SHELL 42
#define CONFIG_NUMBER 5
#define CONFIG_HELPED 1
#define CONFIG_ONE 1
#define CONFIG_TWO 0xAB
#define CONFIG_TYPED_TWICE 1
#define CONFIG_DEF_INT 7
#define CONFIG_DEF_HEX 0x7
#define CONFIG_DEF_STRING "text"
#define CONFIG_COPY "from outside"
#define CONFIG_OLD_ENV "from outside and from outside and $NONE"
#define CONFIG_GLOB_A 1
#define CONFIG_CHOSEN_A 1
