// Playground.

export const title = 'Playground';

export function mount(root, context) {
  root.append(context.actions.emptyState('Playground is not available yet.'));
  return () => {};
}
