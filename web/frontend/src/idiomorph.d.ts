// The package has no types of its own for its module.
declare module "idiomorph" {
  export const Idiomorph: {
    morph(old: Element, fresh: Element | string, config?: Record<string, unknown>): Node[] | undefined;
  };
}
