import logging

# peft imports bitsandbytes wherever it is installed, which then asks for a kernel package that
# nothing here needs
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
