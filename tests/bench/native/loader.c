// SPDX-License-Identifier: GPL-2.0
/*
 * loader VMLINUX KALLSYMS MODULE...: runs kernel code as it is, in this process, with
 * init_on_alloc=0.
 *
 * The stock kernel's image and the modules are laid out below 2 GiB, as a kernel is
 * at the top of the address space, and get what a kernel at boot gives itself: its
 * relocation (the table of KASLR behind the image), static branches, returns without
 * thunks, NOPs where ftrace may hook in, this processor's per-CPU area at %gs. What
 * belongs to a machine (pages, interrupts, clocks) is replaced, function by function,
 * by what the last module says in its table kpynative_hooks; then its kpynative_main()
 * is called.
 *
 * Nothing here knows a structure of the kernel: that is the module's part.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <elf.h>
#include <fcntl.h>
#include <search.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#define KERNEL_TEXT	0xffffffff81000000UL	/* where the image was linked */
#define KERNEL_MAP	0xffffffff80000000UL	/* ... of physical address 0 */
#define TEXT		0x11000000UL		/* where it is here */
#define DELTA		(TEXT - KERNEL_TEXT)
#define IMAGE_MAX	0x04000000UL
#define MODULES		0x18000000UL
#define MODULES_MAX	0x04000000UL
#define RAM		0x20000000UL		/* what the kernel takes for its direct map */
#define RAM_SIZE	0x40000000UL
#define PERCPU		0x70000000UL
#define PERCPU_SIZE	0x00800000UL		/* of one CPU */
#define NR_CPUS		2

static uint8_t *percpu_image;
static size_t percpu_static;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	fprintf(stderr, "loader: ");
	vfprintf(stderr, fmt, args);
	fprintf(stderr, "\n");
	exit(1);
}

/* Symbols: of the kernel and of all modules, one name space. */
struct symbol {
	const char *name;
	uint64_t address;
};

static struct symbol *symbols;
static size_t nr_symbols;
static struct hsearch_data names;

static void add_symbol(const char *name, uint64_t address)
{
	ENTRY *found, entry = { .key = (char *)name };

	symbols = reallocarray(symbols, nr_symbols + 1, sizeof(*symbols));
	symbols[nr_symbols++] = (struct symbol){ name, address };
	if (hsearch_r(entry, FIND, &found, &names)) {
		found->data = (void *)address;
		return;
	}
	entry.data = (void *)address;
	if (!hsearch_r(entry, ENTER, &found, &names))
		die("too many symbols");
}

static bool find_symbol(const char *name, uint64_t *address)
{
	ENTRY *found, entry = { .key = (char *)name };

	if (!hsearch_r(entry, FIND, &found, &names))
		return false;
	*address = (uint64_t)found->data;
	return true;
}

static uint64_t symbol(const char *name)
{
	uint64_t address;

	if (!find_symbol(name, &address))
		die("no symbol %s", name);
	return address;
}

static const char *name_of(uint64_t address, uint64_t *offset)
{
	struct symbol best = { "?", 0 };
	size_t i;

	for (i = 0; i < nr_symbols; i++)
		if (symbols[i].address <= address && symbols[i].address > best.address)
			best = symbols[i];
	*offset = address - best.address;
	return best.name;
}

/* In a kernel that was not randomized; per-CPU variables count from 0. */
static void read_kallsyms(const char *path)
{
	FILE *file = fopen(path, "r");
	char name[512], type, *line = NULL;
	uint64_t address;
	size_t room = 0;

	if (!file)
		die("no file %s", path);
	while (getline(&line, &room, file) > 0) {
		if (strchr(line, '[') || sscanf(line, "%lx %c %511s", &address, &type, name) != 3)
			continue;
		add_symbol(strdup(name), address >= KERNEL_MAP ? address + DELTA : address);
	}
	free(line);
	fclose(file);
}

static void *map_at(uint64_t address, size_t size)
{
	void *p = mmap((void *)address, size, PROT_READ | PROT_WRITE | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_NORESERVE, -1, 0);

	if (p != (void *)address)
		die("no room at %#lx", address);
	return p;
}

static uint8_t *read_file(const char *path, size_t *size)
{
	int fd = open(path, O_RDONLY);
	struct stat st;
	uint8_t *data;

	if (fd < 0 || fstat(fd, &st))
		die("no file %s", path);
	data = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (data == MAP_FAILED)
		die("cannot read %s", path);
	close(fd);
	*size = st.st_size;
	return data;
}

/* Segments go where their physical addresses say, the per-CPU one too. */
static void load_segments(const uint8_t *elf)
{
	const Elf64_Ehdr *head = (const void *)elf;
	const Elf64_Phdr *ph = (const void *)(elf + head->e_phoff);
	int i;

	map_at(TEXT, IMAGE_MAX);
	for (i = 0; i < head->e_phnum; i++) {
		uint8_t *to = (void *)(ph[i].p_paddr + KERNEL_MAP + DELTA);

		if (ph[i].p_type != PT_LOAD)
			continue;
		memcpy(to, elf + ph[i].p_offset, ph[i].p_filesz);
		if (!ph[i].p_vaddr) {
			percpu_image = to;
			percpu_static = ph[i].p_memsz;
		}
	}
}

/*
 * arch/x86/boot/compressed/misc.c:handle_relocations(): read from the end, addresses
 * of 32 bits to add to, of 32 bits to subtract from (per-CPU), of 64 bits to add to.
 */
static void relocate(const uint8_t *end)
{
	const int32_t *r = (const int32_t *)end - 1;

	for (; *r; r--)
		*(uint32_t *)(*r + DELTA) += DELTA;
	for (r--; *r; r--)
		*(uint32_t *)(*r + DELTA) -= DELTA;
	for (r--; *r; r--)
		*(uint64_t *)(*r + DELTA) += DELTA;
}

static const Elf64_Shdr *section(const uint8_t *elf, const char *name)
{
	const Elf64_Ehdr *head = (const void *)elf;
	const Elf64_Shdr *sh = (const void *)(elf + head->e_shoff);
	const char *strings = (const char *)elf + sh[head->e_shstrndx].sh_offset;
	int i;

	for (i = 0; i < head->e_shnum; i++)
		if (!strcmp(strings + sh[i].sh_name, name))
			return &sh[i];
	return NULL;
}

/* `jmp __x86_return_thunk` becomes `ret`, as on a processor without need of it. */
static void plain_returns(int32_t *site, size_t size)
{
	size_t i;

	for (i = 0; i < size / sizeof(*site); i++) {
		uint8_t *at = (uint8_t *)&site[i] + site[i];

		if (*at == 0xe9)
			memcpy(at, "\xc3\xcc\xcc\xcc\xcc", 5);
	}
}

/* Functions that the linker threw away have left a relocated 0. */
static void no_ftrace(uint64_t *site, size_t size)
{
	size_t i;

	for (i = 0; i < size / sizeof(*site); i++)
		if (site[i] != DELTA)
			memcpy((void *)site[i], "\x0f\x1f\x44\x00\x00", 5);
}

struct jump_entry {
	int32_t code;
	int32_t target;
	int64_t key;
};

/* Each one a NOP or a jump of two or five bytes, by what its key says now. */
static void static_branches(struct jump_entry *e, size_t size)
{
	for (; size >= sizeof(*e); size -= sizeof(*e), e++) {
		uint8_t *code = (uint8_t *)&e->code + e->code;
		int64_t key = (int64_t)&e->key + e->key;
		int32_t away = (int32_t)((uint8_t *)&e->target + e->target - code);
		bool on = *(int32_t *)(key & ~3L) > 0;
		bool brief = code[0] == 0xeb || code[0] == 0x66;

		if (on == (key & 1))
			memcpy(code, brief ? "\x66\x90" : "\x0f\x1f\x44\x00\x00", brief ? 2 : 5);
		else if (brief)
			memcpy(code, (uint8_t[]){ 0xeb, away - 2 }, 2);
		else
			*code = 0xe9, memcpy(code + 1, &(int32_t){ away - 5 }, 4);
	}
}

/* The image's sections lie where their addresses say. */
static void *image_section(const uint8_t *elf, const char *name, size_t *size)
{
	const Elf64_Shdr *sh = section(elf, name);

	if (!sh)
		die("no section %s in the kernel", name);
	*size = sh->sh_size;
	return (void *)(sh->sh_addr + DELTA);
}

static void *between(const char *start, const char *stop, size_t *size)
{
	*size = symbol(stop) - symbol(start);
	return (void *)symbol(start);
}

static uint8_t *load_kernel(const char *path)
{
	size_t size, length;
	uint8_t *elf = read_file(path, &size);
	void *data;

	load_segments(elf);
	relocate(elf + size);
	data = image_section(elf, ".return_sites", &length);
	plain_returns(data, length);
	data = between("__start_mcount_loc", "__stop_mcount_loc", &length);
	no_ftrace(data, length);
	return elf;
}

static void setup_percpu(void)
{
	unsigned int cpu;
	uint64_t *offset = (uint64_t *)symbol("__per_cpu_offset");

	map_at(PERCPU, NR_CPUS * PERCPU_SIZE);
	for (cpu = 0; cpu < NR_CPUS; cpu++) {
		memcpy((void *)(PERCPU + cpu * PERCPU_SIZE), percpu_image, percpu_static);
		offset[cpu] = PERCPU + cpu * PERCPU_SIZE;
		*(uint64_t *)(offset[cpu] + symbol("this_cpu_off")) = offset[cpu];
	}
	percpu_static = (percpu_static + 0xfff) & ~0xfffUL;
}

/* Modules: relocatable objects, one behind the other. */
static uint64_t module_end = MODULES;

static uint64_t percpu_alloc_static(const uint8_t *data, size_t size)
{
	uint64_t at = percpu_static;
	unsigned int cpu;

	for (cpu = 0; cpu < NR_CPUS; cpu++)
		memcpy((void *)(PERCPU + cpu * PERCPU_SIZE + at), data, size);
	percpu_static += (size + 0xff) & ~0xffUL;
	return at;
}

static void place_sections(uint8_t *elf)
{
	Elf64_Ehdr *head = (void *)elf;
	Elf64_Shdr *sh = (void *)(elf + head->e_shoff);
	const char *strings = (const char *)elf + sh[head->e_shstrndx].sh_offset;
	int i;

	for (i = 0; i < head->e_shnum; i++) {
		uint64_t align = sh[i].sh_addralign ?: 1;

		if (!(sh[i].sh_flags & SHF_ALLOC))
			continue;
		if (!strcmp(strings + sh[i].sh_name, ".data..percpu")) {
			sh[i].sh_addr = percpu_alloc_static(elf + sh[i].sh_offset, sh[i].sh_size);
			continue;
		}
		module_end = (module_end + align - 1) & -align;
		sh[i].sh_addr = module_end;
		if (sh[i].sh_type != SHT_NOBITS)
			memcpy((void *)module_end, elf + sh[i].sh_offset, sh[i].sh_size);
		module_end += sh[i].sh_size;
	}
	module_end = (module_end + 0xfff) & ~0xfffUL;
}

static void resolve(uint8_t *elf, Elf64_Sym *sym, size_t nr, const char *strings)
{
	const Elf64_Shdr *sh = (void *)(elf + ((Elf64_Ehdr *)elf)->e_shoff);
	size_t i;

	for (i = 1; i < nr; i++) {
		const char *name = strings + sym[i].st_name;

		if (sym[i].st_shndx == SHN_UNDEF) {
			if (!find_symbol(name, &sym[i].st_value) &&
			    ELF64_ST_BIND(sym[i].st_info) != STB_WEAK)
				die("no symbol %s", name);
		} else if (sym[i].st_shndx < SHN_LORESERVE) {
			sym[i].st_value += sh[sym[i].st_shndx].sh_addr;
			if (*name && (sh[sym[i].st_shndx].sh_flags & SHF_ALLOC))
				add_symbol(name, sym[i].st_value);
		}
	}
}

static void apply(uint8_t *at, unsigned int type, uint64_t value)
{
	switch (type) {
	case R_X86_64_64:
		*(uint64_t *)at = value;
		break;
	case R_X86_64_PC64:
		*(uint64_t *)at = value - (uint64_t)at;
		break;
	case R_X86_64_32:
	case R_X86_64_32S:
		*(uint32_t *)at = value;
		break;
	case R_X86_64_PC32:
	case R_X86_64_PLT32:
		*(uint32_t *)at = value - (uint64_t)at;
		break;
	case R_X86_64_NONE:
		break;
	default:
		die("relocation of type %u", type);
	}
}

static void relocate_section(const Elf64_Shdr *target, const Elf64_Rela *rela, size_t nr,
			     const Elf64_Sym *sym)
{
	size_t i;

	for (i = 0; i < nr; i++)
		apply((uint8_t *)target->sh_addr + rela[i].r_offset, ELF64_R_TYPE(rela[i].r_info),
		      sym[ELF64_R_SYM(rela[i].r_info)].st_value + rela[i].r_addend);
}

static void relocate_module(uint8_t *elf)
{
	const Elf64_Ehdr *head = (void *)elf;
	Elf64_Shdr *sh = (void *)(elf + head->e_shoff);
	Elf64_Sym *sym = NULL;
	int i;

	for (i = 0; i < head->e_shnum; i++) {
		if (sh[i].sh_type != SHT_SYMTAB)
			continue;
		sym = (void *)(elf + sh[i].sh_offset);
		resolve(elf, sym, sh[i].sh_size / sizeof(*sym),
			(char *)elf + sh[sh[i].sh_link].sh_offset);
	}
	for (i = 0; i < head->e_shnum; i++)
		if (sh[i].sh_type == SHT_RELA && (sh[sh[i].sh_info].sh_flags & SHF_ALLOC))
			relocate_section(&sh[sh[i].sh_info], (void *)(elf + sh[i].sh_offset),
					 sh[i].sh_size / sizeof(Elf64_Rela), sym);
}

/* Their branches are set when all keys are known. */
struct module {
	uint8_t *elf;
};

static struct module modules[8];
static unsigned int nr_modules;

static void *module_section(const struct module *m, const char *name, size_t *size)
{
	const Elf64_Shdr *sh = section(m->elf, name);

	*size = sh ? sh->sh_size : 0;
	return sh ? (void *)sh->sh_addr : NULL;
}

static void load_module(const char *path)
{
	struct module *m = &modules[nr_modules++];
	size_t size;
	void *data;

	m->elf = read_file(path, &size);
	place_sections(m->elf);
	relocate_module(m->elf);
	data = module_section(m, ".return_sites", &size);
	plain_returns(data, size);
	data = module_section(m, "__mcount_loc", &size);
	no_ftrace(data, size);
}

static void set_branches(void)
{
	unsigned int i;
	size_t size;
	void *data;

	data = between("__start___jump_table", "__stop___jump_table", &size);
	static_branches(data, size);
	for (i = 0; i < nr_modules; i++) {
		data = module_section(&modules[i], "__jump_table", &size);
		static_branches(data, size);
	}
}

/* Which instructions this processor gets: the last module knows what that looks like. */
static void set_alternatives(const uint8_t *kernel)
{
	void (*choose)(void *table, size_t size) = (void *)symbol("kpynative_alternatives");
	unsigned int i;
	size_t size;
	void *data;

	data = image_section(kernel, ".altinstructions", &size);
	choose(data, size);
	for (i = 0; i < nr_modules; i++) {
		data = module_section(&modules[i], ".altinstructions", &size);
		choose(data, size);
	}
}

/* What the last module wants to be called in place of the kernel's functions. */
struct hook {
	const char *name;
	void *function;
};

static void set_hooks(const struct hook *h)
{
	static const uint8_t jump[] = { 0xff, 0x25, 0, 0, 0, 0 };
	uint64_t at;

	for (; h->name; h++) {
		if (!find_symbol(h->name, &at))
			continue;
		memcpy((void *)at, jump, sizeof(jump));
		memcpy((void *)(at + sizeof(jump)), &h->function, sizeof(h->function));
	}
}

/* A fault: where, and who may have called. */
static void fault(int sig, siginfo_t *info, void *context)
{
	const greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
	const uint64_t *sp = (void *)reg[REG_RSP];
	uint64_t offset;
	const char *name = name_of(reg[REG_RIP], &offset);
	int i;

	fprintf(stderr, "loader: signal %d at %s+%#lx (%#llx), address %p\n", sig, name, offset,
		reg[REG_RIP], info->si_addr);
	for (i = 0; i < 64; i++) {
		if (sp[i] < TEXT || sp[i] >= MODULES + MODULES_MAX)
			continue;
		name = name_of(sp[i], &offset);
		if (offset < 0x2000)
			fprintf(stderr, "  %s+%#lx\n", name, offset);
	}
	_exit(2);
}

static void catch_faults(void)
{
	struct sigaction action = { .sa_sigaction = fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(1 << 16), .ss_size = 1 << 16 };

	sigaltstack(&stack, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGTRAP, &action, NULL);
	sigaction(SIGFPE, &action, NULL);
}

/* Called by kernel code, which aligns the stack to 8 bytes only. */
static void __attribute__((force_align_arg_pointer)) put_line(const char *text)
{
	fputs(text, stdout);
	fflush(stdout);
}

/* What the last module has to know; as there. */
struct machine {
	uint64_t ram;
	uint64_t ram_size;
	uint64_t percpu_free;
	uint64_t percpu_size;
	uint32_t nr_cpus;
	void (*put)(const char *text);
};

int main(int argc, char **argv)
{
	struct machine machine = {
		.ram = RAM, .ram_size = RAM_SIZE, .percpu_size = PERCPU_SIZE, .nr_cpus = NR_CPUS,
		.put = put_line,
	};
	int (*run)(struct machine *machine);
	uint8_t *kernel;
	int i;

	if (argc < 4)
		die("usage: loader VMLINUX KALLSYMS MODULE...");
	hcreate_r(1 << 20, &names);
	read_kallsyms(argv[2]);
	kernel = load_kernel(argv[1]);
	setup_percpu();
	madvise(map_at(RAM, RAM_SIZE), RAM_SIZE, MADV_HUGEPAGE);
	map_at(MODULES, MODULES_MAX);
	catch_faults();
	for (i = 3; i < argc; i++)
		load_module(argv[i]);
	*(int32_t *)symbol("init_on_alloc") = 0;
	if (syscall(SYS_arch_prctl, ARCH_SET_GS, PERCPU))
		die("no %%gs to be had");
	set_alternatives(kernel);
	set_branches();
	set_hooks((void *)symbol("kpynative_hooks"));
	machine.percpu_free = percpu_static;
	run = (void *)symbol("kpynative_main");
	return run(&machine);
}
