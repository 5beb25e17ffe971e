type Listening = (type: string, listener: unknown, ...rest: unknown[]) => void;

/** Counts the listeners that a signal has got and not lost since this was called. */
export function countListeners(signal: AbortSignal): { readonly count: number } {
  const target = signal as unknown as { addEventListener: Listening; removeEventListener: Listening };
  const listeners = new Set<unknown>();
  const add = target.addEventListener.bind(signal);
  const remove = target.removeEventListener.bind(signal);
  target.addEventListener = (type, listener, ...rest) => {
    listeners.add(listener);
    add(type, listener, ...rest);
  };
  target.removeEventListener = (type, listener, ...rest) => {
    listeners.delete(listener);
    remove(type, listener, ...rest);
  };
  return {
    get count() {
      return listeners.size;
    },
  };
}
