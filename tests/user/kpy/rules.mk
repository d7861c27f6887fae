# SPDX-License-Identifier: GPL-2.0
# kpy with both modules inside, build/user/VARIANT/kpy-user.  Included by ../Makefile.

# What of the modules and of kpy is in it; the rest of kpymalloc.ko is $(core).
kpy-modules := debugfs $(addprefix lab/, replay engine trace fill backend caches report control debugfs)
kpy-tools := record recording recording_files replay compare lab heap state geometry trace \
	progress json text signals
kpy-recorder := $(patsubst $(top)/tools/%.c,$(build)/tools/%.o,$(wildcard $(top)/tools/record/*.c))
kpy-own := kpy files
kpy-headers := $(headers) $(wildcard kpy/*.h $(top)/kmod/lab/*.h $(top)/tools/*.h)
kpy-sources := $(kpy-modules:%=$(top)/kmod/%.c)
kpy-stubs := $(build)/kpy-stubs/.done

$(kpy-stubs): $(kpy-sources) $(kpy-headers)
	@sed -n 's/^#include <\(\(linux\|asm\|trace\)\/[a-z0-9_\/-]*\.h\)>.*/\1/p' $^ | sort -u | \
	while read -r h; do \
		mkdir -p $(@D)/$${h%/*}; \
		echo '#include <kernel.h>' > $(@D)/$$h; \
	done
	@touch $@

# The tools know nothing of all this.
$(build)/tools/%.o: $(top)/tools/%.c $(wildcard $(top)/tools/*.h $(top)/tools/record/*.h)
	@mkdir -p $(@D)
	@echo '  CC      $@'
	@$(CC) -std=gnu11 -D_GNU_SOURCE -O2 -g -Wall -Wextra -fPIC -c -o $@ $<

$(build)/kpyrecord.so: $(kpy-recorder)
	@echo '  LD      $@'
	@$(CC) -shared -o $@ $^ -ldl -lpthread

# $(1): variant
define kpy-variant
objs-kpy-$(1) := $$(patsubst $(top)/%.c,$(build)/$(1)/%.o,$(core)) \
	$$(patsubst %.c,$(build)/$(1)/user/%.o,$(filter-out run.c,$(shim))) \
	$(patsubst %,$(build)/$(1)/kpy/kmod/%.o,$(kpy-modules)) \
	$(patsubst %,$(build)/$(1)/kpy/%.o,$(kpy-own)) \
	$(patsubst %,$(build)/tools/%.o,$(kpy-tools))

$(build)/$(1)/kpy/kmod/%.o: $(top)/kmod/%.c $(kpy-headers) | $(kpy-stubs) $(stubs)
	@mkdir -p $$(@D)
	@echo '  CC      $$@'
	@$(CC) $(cflags) $(flags-$(1)) $(core-$(1)) -I$(build)/kpy-stubs $(include) -include kpy/more.h \
		-include $(top)/kmod/compat.h -DKBUILD_MODNAME='"kpylab"' -c -o $$@ $$<

$(build)/$(1)/kpy/%.o: kpy/%.c $(kpy-headers) | $(kpy-stubs) $(stubs)
	@mkdir -p $$(@D)
	@echo '  CC      $$@'
	@$(CC) $(cflags) $(flags-$(1)) -I$(build)/kpy-stubs $(include) -include kpy/more.h -I$(top)/kmod/lab \
		-I$(top)/tools -DKBUILD_MODNAME='"kpylab"' -c -o $$@ $$<

$(build)/$(1)/kpy-user: $$(objs-kpy-$(1))
	@echo '  LD      $$@'
	@$(CC) $(cflags) $(flags-$(1)) $(ldflags-$(1)) -o $$@ $$^ -ljson-c -lzstd -lz

kpy-$(1): $(build)/$(1)/kpy-user $(build)/kpyrecord.so
endef

$(foreach v,asan tsan gcov plain,$(eval $(call kpy-variant,$(v))))
