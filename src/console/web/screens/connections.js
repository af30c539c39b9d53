// Connections.

export const title = 'Connections';

export function mount(root, context) {
  root.append(context.actions.emptyState('Connections is not available yet.'));
  return () => {};
}
