import koffi from "koffi";

/**
 * Gives back to the kernel what the C library keeps of freed memory (malloc_trim(3), glibc): buffers of frames are of
 * its heap, and not of V8's. Some milliseconds. Where the C library has no such call nothing happens.
 */
export function trimMalloc(): void {
  trim ??= load();
  trim(0);
}

let trim: ((pad: number) => unknown) | undefined;

function load(): (pad: number) => unknown {
  try {
    return koffi.load("libc.so.6").func("int malloc_trim(size_t pad)");
  } catch {
    return () => {};
  }
}
