// Listener counter: counts the listeners of an abort signal.

type Listening = (type: string, listener: unknown, ...rest: unknown[]) => void;

/** Counts the listeners that a signal has gained and not lost since this was called, and the most at a time. */
export function countListeners(signal: AbortSignal): { readonly count: number; readonly most: number } {
  const target = signal as unknown as { addEventListener: Listening; removeEventListener: Listening };
  const listeners = new Set<unknown>();
  let most = 0;
  const add = target.addEventListener.bind(signal);
  const remove = target.removeEventListener.bind(signal);
  target.addEventListener = (type, listener, ...rest) => {
    listeners.add(listener);
    most = Math.max(most, listeners.size);
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
    get most() {
      return most;
    },
  };
}
